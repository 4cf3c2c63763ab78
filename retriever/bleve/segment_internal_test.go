package bleve

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	zap "github.com/blevesearch/zapx/v17"
)

// randomRecords makes documents of some passages each, in no order.
func randomRecords(random *rand.Rand, documents, vocabulary int, filters bool) []index.Document {
	var list []index.Document
	var counter termCounter
	for d := range documents {
		id := fmt.Sprintf("%x-%d", random.Uint32(), d)
		list = append(list, &record{key: documentKey(id), stored: []byte(strings.Repeat(`{"passages":1}`, 1+random.IntN(3)))})
		for ordinal := range random.IntN(3) {
			// The square makes some terms frequent; the first is nearly everywhere.
			for range random.IntN(60) {
				at := random.Float64()
				counter.add(fmt.Sprintf("t%d", int(at*at*float64(vocabulary))))
			}
			if random.IntN(10) > 0 {
				counter.add("überall")
			}
			if random.IntN(50) == 0 {
				counter.add("")
			}
			r := &record{key: passageKey(id, ordinal), passage: true, stored: []byte(id)}
			r.text, r.length = counter.take()
			if filters && random.IntN(2) == 0 {
				r.filter = []string{existsTerm("year"), keywordTerm("kind", "a"), prefixGroup + "staff", keywordTerm("kind", "a")}
			}
			list = append(list, r)
		}
	}
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// TestSegmentsAreZaps compares segments of every shape, byte by byte, with those
// that zap makes of the same records in the same order. What differs is the
// list of fields at the end, where zap names kinds of index that it does not
// have; it is compared by what it says.
func TestSegmentsAreZaps(t *testing.T) {
	tests := []struct {
		name                  string
		documents, vocabulary int
		filters               bool
	}{
		{"one document", 1, 5, false},
		{"one document with filters", 1, 5, true},
		{"two documents", 2, 5, true},
		{"small", 40, 30, true},
		{"all terms rare", 300, 1 << 30, false},
		{"terms of more than one chunk", 3000, 50, false},
		{"terms of bitmaps", 12000, 300, true},
		{"records beyond one container", 40000, 1000, false},
	}
	plugin := &segmentPlugin{ZapPlugin: &zap.ZapPlugin{}}
	for seed, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 3))
			documents := randomRecords(random, tt.documents, tt.vocabulary, tt.filters)
			for _, d := range documents {
				d.AddIDField()
			}
			sorted := slices.Clone(documents)
			slices.SortFunc(sorted, func(a, b index.Document) int { return compareRecords(a.(*record), b.(*record)) })
			made, size, err := plugin.NewUsing(documents, nil)
			if err != nil {
				t.Fatal(err)
			}
			wanted, _, err := plugin.ZapPlugin.NewUsing(sorted, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, gotFields := contents(t, made)
			want, wantFields := contents(t, wanted)
			if int(size) > len(got) || size == 0 {
				t.Errorf("the segment has %d bytes, its file %d", size, len(got))
			}
			if gotFields != wantFields {
				t.Fatalf("the list of fields begins at %d, want %d", gotFields, wantFields)
			}
			if !bytes.Equal(got[:gotFields], want[:wantFields]) {
				at := 0
				for got[at] == want[at] {
					at++
				}
				t.Fatalf("byte %d of %d differs", at, gotFields)
			}
			sameFields(t, made, wanted)
			merges(t, plugin, []segment.Segment{made, wanted}, len(documents))
		})
	}
}

// contents returns what a segment's file holds, and where its list of fields
// begins.
func contents(t *testing.T, s segment.Segment) (data []byte, fields int) {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.(io.WriterTo).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	data = b.Bytes()
	// The footer: ... place of the list, chunk mode, version, checksum.
	list := int(binary.BigEndian.Uint64(data[len(data)-20:]))
	_, n := binary.Uvarint(data[list:])
	return data, int(binary.BigEndian.Uint64(data[list+n:]))
}

func sameFields(t *testing.T, got, want segment.Segment) {
	t.Helper()
	if !slices.Equal(got.Fields(), want.Fields()) {
		t.Errorf("fields = %v, want %v", got.Fields(), want.Fields())
	}
	for _, name := range want.Fields() {
		var lists [2][]string
		for i, s := range []segment.Segment{got, want} {
			dictionary, err := s.Dictionary(name)
			if err != nil {
				t.Fatal(err)
			}
			terms := dictionary.AutomatonIterator(nil, nil, nil)
			for {
				entry, err := terms.Next()
				if err != nil {
					t.Fatal(err)
				}
				if entry == nil {
					break
				}
				lists[i] = append(lists[i], fmt.Sprint(entry.Term, entry.Count))
			}
		}
		if !slices.Equal(lists[0], lists[1]) {
			t.Errorf("field %q has %d terms, want %d", name, len(lists[0]), len(lists[1]))
		}
	}
}

// merges merges segments into a file, as the engine does in the background.
func merges(t *testing.T, plugin *segmentPlugin, segments []segment.Segment, records int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "merged.zap")
	if _, _, err := plugin.Merge(segments, []*roaring.Bitmap{nil, roaring.BitmapOf(0)}, path, nil, nil); err != nil {
		t.Fatal(err)
	}
	merged, err := plugin.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer merged.Close()
	if got, want := merged.Count(), uint64(2*records-1); got != want {
		t.Errorf("merged with itself less one record it has %d records, want %d", got, want)
	}
	if !slices.Equal(merged.Fields(), segments[1].Fields()) {
		t.Errorf("merged fields = %v, want %v", merged.Fields(), segments[1].Fields())
	}
}
