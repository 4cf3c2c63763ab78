package bleve_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

func TestTerms(t *testing.T) {
	for _, test := range []struct {
		analyzer, text string
		want           []string
	}{
		{"standard", "Who designed the Towers?", []string{"designed", "towers"}},
		{"words", "Who designed the Towers?", []string{"who", "designed", "the", "towers"}},
		{"en", "Who designed the Towers?", []string{"design", "tower"}},
		{"en-GB", "It's Eiffel's", []string{"eiffel"}},
		{"de", "Die Häuser der Städte", []string{"haus", "stadt"}},
		{"fr", "L'avion des entreprises françaises", []string{"avion", "entrepris", "francais"}},
		{"es", "Las canciones de los niños", []string{"cancion", "niñ"}},
		{"zh", "北京大学", []string{"北京", "京大", "大学"}},
		{"ja", "東京の塔", []string{"東京", "京の", "の塔"}},
		{"words", "", nil},
	} {
		t.Run(test.analyzer+" "+test.text, func(t *testing.T) {
			got, err := bleve.Terms(test.analyzer, test.text)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("Terms = %q, %v; want %q", got, err, test.want)
			}
		})
	}
	for _, unknown := range []string{"", "xx", "words-GB", "standard-en", "Words"} {
		if _, err := bleve.Terms(unknown, "text"); err == nil || !strings.Contains(err.Error(), "analyzer") {
			t.Errorf("Terms with analyzer %q = %v, want an error that names the key", unknown, err)
		}
	}
}

// TestWordForms finds a text by other forms of its words, and not by words
// that only look alike.
func TestWordForms(t *testing.T) {
	for _, test := range []struct {
		analyzer, text, question, other string
	}{
		{"de", "Die Verträge der Mieter wurden gekündigt.", "Welcher Vertrag des Mieters?", "die der den"},
		{"fr", "Les contrats des locataires ont été résiliés.", "le contrat du locataire", "les des ont"},
		{"es", "Los contratos de los inquilinos fueron cancelados.", "¿Qué contrato tiene el inquilino?", "los de las"},
		{"it", "I contratti degli inquilini sono stati disdetti.", "contratto dell'inquilino", "gli degli sono"},
		{"ru", "Договоры арендаторов были расторгнуты.", "договор арендатора", "были"},
		{"zh", "租户的合同已被终止。", "合同", "飞机"},
		{"ja", "借主の契約は解除された。", "契約", "飛行機"},
		{"ko", "임차인의 계약이 해지되었다.", "계약이", "비행기"},
	} {
		t.Run(test.analyzer, func(t *testing.T) {
			config := bleve.DefaultConfig()
			config.Analyzer = test.analyzer
			index := create(t, config)
			if err := index.Upsert(t.Context(), []retriever.Entry{entry("a", "", test.text), entry("b", "", "42")}); err != nil {
				t.Fatal(err)
			}
			for text, want := range map[string]int{test.question: 1, test.other: 0} {
				results, err := index.Retrieve(t.Context(), retriever.Query{Text: text, TopK: 10})
				if err != nil || len(results.Hits) != want {
					t.Errorf("%q: %d hits, %v; want %d", text, len(results.Hits), err, want)
				}
			}
		})
	}
}
