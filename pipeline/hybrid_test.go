package pipeline_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// elasticFakes is rankerFakes on an Elasticsearch index of the test's own.
func elasticFakes(t *testing.T, options modelstest.Options, hybrid string) *pipeline.Config {
	t.Helper()
	address := os.Getenv("NEEDLE_ES_URL")
	if address == "" {
		testenv.Missing(t, false, "NEEDLE_ES_URL is not set; start a server with: export NEEDLE_ES_URL=$(deploy/elasticsearch/test-server.sh start)")
	}
	fake, _ := rankerFakes(t, pipeline.RankerVector, options)
	prefix := "test-" + strings.ToLower(rand.Text()) + "-"
	t.Cleanup(func() { // of the store, which dropping an index opens
		request, err := http.NewRequestWithContext(context.Background(), http.MethodDelete, address+"/"+prefix+"store.records", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	text := fmt.Sprintf("data: %q\nretriever: {type: elastic, addresses: [%q], index_prefix: %q, replicas: 0, hybrid: %s}\nranker: {type: vector, bundle: fake-embedding}\nreader: {bundle: fake}\n",
		t.TempDir(), address, prefix, hybrid)
	config, err := pipeline.ParseConfig("test", []byte(text), fake.Registry())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestHybrid(t *testing.T) {
	for _, hybrid := range []string{"none", "rrf", "weighted"} {
		t.Run(hybrid, func(t *testing.T) {
			var failing atomic.Bool
			broken := errors.New("broken encoder")
			options := modelstest.Options{BeforeRun: func(_ context.Context, batch []models.Encoding) error {
				if failing.Load() && !slices.Contains(batch[0].Sequences, models.SequenceSecond) {
					return broken
				}
				return nil
			}}
			// Without a reader nothing makes vectors in the background.
			p := open(t, elasticFakes(t, options, hybrid), pipeline.WithoutReader())
			put(t, p,
				retriever.Document{ID: "words", Text: "the tower stands", Metadata: map[string]any{"lang": "en"}},
				retriever.Document{ID: "other", Text: "nothing in common", Metadata: map[string]any{"lang": "en"}},
				retriever.Document{ID: "secret", Text: "also nothing", Groups: []string{"board"}, Metadata: map[string]any{"lang": "en"}},
				retriever.Document{ID: "german", Text: "gar keine", Metadata: map[string]any{"lang": "de"}})
			t.Cleanup(func() {
				if err := p.DropIndex(context.Background(), ""); err != nil {
					t.Error(err)
				}
			})
			found := func(access pipeline.Access, topK int) (ids []string, warnings string) {
				t.Helper()
				result, err := p.Search(t.Context(), pipeline.SearchRequest{
					Query: "tower", TopK: topK, Access: access, Filter: &retriever.Filter{Field: "lang", Equals: "en"},
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range result.Hits {
					if (h.Scores.BM25 > 0) != (h.DocumentID == "words") {
						t.Errorf("%s has the scores %+v", h.DocumentID, h.Scores)
					}
					ids = append(ids, h.DocumentID)
				}
				return ids, strings.Join(result.Warnings, " ")
			}
			if ids, warnings := found(pipeline.FullAccess(), 10); len(ids) != 1 || !strings.Contains(warnings, "vectors") {
				t.Errorf("before there are vectors: %q, warnings %q; want what shares a word, and a warning", ids, warnings)
			}
			if err := p.FillVectors(t.Context(), "", nil); err != nil {
				t.Fatal(err)
			}
			for name, test := range map[string]struct {
				access pipeline.Access
				want   int // with both legs
			}{
				"all":      {pipeline.FullAccess(), 3},
				"a caller": {pipeline.Access{}, 2},
				"a member": {pipeline.Access{Groups: []string{"board"}}, 3},
			} {
				want := test.want
				if hybrid == "none" {
					want = 1
				}
				ids, warnings := found(test.access, 10)
				if len(ids) != want || warnings != "" {
					t.Errorf("%s finds %q, warnings %q; want %d", name, ids, warnings, want)
				}
				if first, _ := found(test.access, 1); first[0] != ids[0] {
					t.Errorf("%s finds %q first of one, %q first of ten", name, first[0], ids[0])
				}
			}
			failing.Store(true)
			ids, warnings := found(pipeline.FullAccess(), 10)
			if len(ids) != 1 || !strings.Contains(warnings, broken.Error()) {
				t.Errorf("with a broken encoder: %q, warnings %q; want what shares a word, and a warning", ids, warnings)
			}
		})
	}
}

func TestHybridSettings(t *testing.T) {
	fake, _ := rankerFakes(t, pipeline.RankerVector, modelstest.Options{})
	for text, want := range map[string]string{
		"retriever: {type: elastic, hybrid: rrf}\nranker: {type: none}":     "retriever.hybrid",
		"retriever: {type: elastic, hybrid: both}\nranker: {type: vector}":  "retriever.hybrid",
		"retriever: {type: bleve, hybrid: rrf}\nranker: {type: vector}":     "retriever.hybrid: unknown key",
		"retriever: {type: elastic, existing: {a: {index: x, body: text}}}": "retriever.existing.a.body: unknown key",
		"retriever: {type: elastic, existing: {a: {index: x}}}":             "retriever.existing.a.text",
	} {
		if _, err := pipeline.ParseConfig("test", []byte(text), fake.Registry()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %q", text, err, want)
		}
	}
	config, err := pipeline.ParseConfig("test", []byte("retriever: {type: elastic, hybrid: rrf, existing: {a: {index: x, text: body, metadata: {year: y}}}}\nranker: {type: vector}"), fake.Registry())
	if err != nil {
		t.Fatal(err)
	}
	data, err := config.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := pipeline.ParseConfig("again", data, fake.Registry()); err != nil {
		t.Errorf("the configuration is not read back: %v\n%s", err, data)
	} else if both, err := again.YAML(); err != nil || string(both) != string(data) {
		t.Errorf("read back: %s, %v; want %s", both, err, data)
	}
}
