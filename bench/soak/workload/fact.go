package workload

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/needle-search/needle/retriever"
)

// A fact is a document that is written again and again, each time with another
// content.
type fact struct {
	number      int
	place, kind string
}

var (
	beginnings = []string{"Alder", "Bram", "Cold", "Dun", "Ever", "Farn", "Grim", "Hazel", "Ings", "Kettle", "Lang", "Moss"}
	endings    = []string{"wick", "ford", "holm", "stead", "by", "moor", "thorpe", "dale"}
	kinds      = []string{"lighthouse", "observatory", "ferry", "brewery", "library"}
	firstNames = []string{
		"Tobias", "Agnes", "Bernard", "Clara", "Desmond", "Edith", "Fergus", "Greta", "Harold", "Ingrid",
		"Julian", "Klara", "Leopold", "Maud", "Nestor", "Olive", "Percy", "Ruth", "Silas", "Thea",
	}
	lastNames = []string{
		"Wren", "Ashdown", "Blackwood", "Carver", "Denholm", "Ekberg", "Fairlie", "Garrick", "Hollis", "Ibsen",
		"Jessop", "Keating", "Lomax", "Marlowe", "Norris", "Oakley", "Prentice", "Quill", "Radley", "Stroud",
	}
)

// maxFacts is how many places there are names for.
func maxFacts() int { return len(beginnings) * len(endings) }

func newFact(number int) fact {
	return fact{
		number: number,
		place:  beginnings[number%len(beginnings)] + endings[number/len(beginnings)%len(endings)],
		kind:   kinds[number%len(kinds)],
	}
}

const factPrefix = "facts/"

func (f fact) id() string { return fmt.Sprintf("%s%03d", factPrefix, f.number) }

// factNumber is the opposite of id.
func factNumber(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, factPrefix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil
}

// questions are what is asked about the fact.
func (f fact) questions() []string {
	return []string{
		fmt.Sprintf("Who is the keeper of the %s %s?", f.place, f.kind),
		fmt.Sprintf("Who keeps the %s at %s?", f.kind, f.place),
		fmt.Sprintf("Which entry of the register of %s is this?", f.place),
		fmt.Sprintf("When did the keeper of %s take over?", f.place),
	}
}

// value is the keeper that a version names.
func (f fact) value(version int) string {
	n := f.number*7 + version*13
	return firstNames[n%len(firstNames)] + " " + lastNames[n/len(firstNames)%len(lastNames)]
}

// text is the whole of a version. Its number stands in every paragraph, so that no
// stretch of more than a few words is the same in two versions. Some facts have
// several passages.
func (f fact) text(version int) string {
	name := f.value(version)
	var b strings.Builder
	fmt.Fprintf(&b, "The keeper of the %s %s is %s. %s took over in %d and lives in the old house by the gate. This is entry %d of the register of %s.",
		f.place, f.kind, name, name, 1700+version%300, version, f.place)
	if f.number%3 == 0 {
		for part := range 6 {
			fmt.Fprintf(&b, "\n\nRemark %d on entry %d. ", part+1, version)
			for line := range 8 {
				fmt.Fprintf(&b, "The %s of %s was inspected on day %d of entry %d and nothing was found amiss with its roof, doors or windows. ",
					f.kind, f.place, (version*31+part*8+line)%365, version)
			}
		}
	}
	return b.String()
}

func (f fact) document(version int) retriever.Document {
	return retriever.Document{ID: f.id(), Title: "Register of " + f.place, Text: f.text(version), Metadata: map[string]any{"kind": f.kind, "version": int64(version)}}
}
