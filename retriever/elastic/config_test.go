package elastic_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/elastic"
	"github.com/needle-search/needle/retriever/retrievertest"
)

func TestConfigValidate(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*elastic.Config)
		want  string // what the error says; empty if there is none
	}{
		"default":            {func(*elastic.Config) {}, ""},
		"region":             {func(c *elastic.Config) { c.Analyzer = "en-GB" }, ""},
		"language":           {func(c *elastic.Config) { c.Analyzer = "german" }, ""},
		"key":                {func(c *elastic.Config) { c.APIKeyEnv = "KEY" }, ""},
		"user":               {func(c *elastic.Config) { c.Username, c.PasswordEnv = "u", "P" }, ""},
		"no address":         {func(c *elastic.Config) { c.Addresses = nil }, "addresses"},
		"no scheme":          {func(c *elastic.Config) { c.Addresses = []string{"localhost:9200"} }, "addresses: number 1"},
		"user in address":    {func(c *elastic.Config) { c.Addresses = []string{"http://u:secret@x"} }, "holds a user"},
		"query in address":   {func(c *elastic.Config) { c.Addresses = []string{"http://x?a"} }, "query"},
		"key and user":       {func(c *elastic.Config) { c.APIKeyEnv, c.Username, c.PasswordEnv = "K", "u", "P" }, "api_key_env"},
		"user, no password":  {func(c *elastic.Config) { c.Username = "u" }, "password_env"},
		"prefix":             {func(c *elastic.Config) { c.IndexPrefix = "Needle*" }, "index_prefix"},
		"empty prefix":       {func(c *elastic.Config) { c.IndexPrefix = "" }, "index_prefix"},
		"analyzer":           {func(c *elastic.Config) { c.Analyzer = "klingon" }, `analyzer: "klingon"`},
		"stop word":          {func(c *elastic.Config) { c.StopWords = []string{"_english_"} }, "stop_words"},
		"k1":                 {func(c *elastic.Config) { c.K1 = math.NaN() }, "k1"},
		"b":                  {func(c *elastic.Config) { c.B = 1.5 }, "b: 1.5"},
		"hybrid":             {func(c *elastic.Config) { c.Hybrid = "both" }, `hybrid: "both"`},
		"hybrid_weight":      {func(c *elastic.Config) { c.HybridWeight = math.NaN() }, "hybrid_weight"},
		"rrf_k":              {func(c *elastic.Config) { c.RRFK = 0 }, "rrf_k: 0"},
		"shards":             {func(c *elastic.Config) { c.Shards = 0 }, "shards: 0"},
		"replicas":           {func(c *elastic.Config) { c.Replicas = -1 }, "replicas: -1"},
		"retries":            {func(c *elastic.Config) { c.Retries = 1000 }, "retries: 1000"},
		"bulk_documents":     {func(c *elastic.Config) { c.BulkDocuments = 0 }, "bulk_documents"},
		"bulk_bytes":         {func(c *elastic.Config) { c.BulkBytes = 1 }, "bulk_bytes"},
		"timeout":            {func(c *elastic.Config) { c.Timeout = 0 }, "timeout"},
		"retry_wait":         {func(c *elastic.Config) { c.RetryWait = time.Hour }, "retry_wait"},
		"everything at once": {func(c *elastic.Config) { *c = elastic.Config{} }, "bulk_bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			c := elastic.DefaultConfig()
			test.spoil(&c)
			err := c.Validate()
			if test.want == "" {
				if err != nil {
					t.Errorf("Validate: %v, want nil", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Validate: %v, want an error that says %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("Validate: %v, which shows the password", err)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	c := elastic.DefaultConfig()
	c.APIKeyEnv = "NEEDLE_TEST_KEY_THAT_IS_NOT_SET"
	if _, err := elastic.New(c); err == nil || !strings.Contains(err.Error(), c.APIKeyEnv) {
		t.Errorf("New: %v, want an error that names the variable", err)
	}
}

// TestMissingAnalyzer runs where the server has no languages, as the one for
// integration tests; elsewhere it checks that stemming works.
func TestMissingAnalyzer(t *testing.T) {
	c := config(t)
	c.Analyzer = "en"
	backend := newBackend(t, c)
	index, err := backend.Create(t.Context(), "test")
	if err != nil {
		if !strings.Contains(err.Error(), `no analyzer "english"`) || !strings.Contains(err.Error(), "standard") {
			t.Errorf("Create: %v, want an error that names the analyzer and what can be done", err)
		}
		if names, err := backend.Names(t.Context()); err != nil || len(names) != 0 {
			t.Errorf("Names = %q, %v; want nothing left behind", names, err)
		}
		return
	}
	finish(t, index)
	if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("a", "the towers")}); err != nil {
		t.Fatal(err)
	}
	if got := search(t, index, "tower"); len(got) != 1 {
		t.Errorf("hits = %q, want one", got)
	}
}

// TestOtherSettings opens an index with settings that it was not made with: it
// goes on with its own, and says what a rebuild would change.
func TestOtherSettings(t *testing.T) {
	c := config(t)
	want := fmt.Sprint(search(t, create(t, c, retrievertest.Entry("a", "red fox", "red red hen")), "red"))
	for name, test := range map[string]struct {
		change func(*elastic.Config)
		want   string
	}{
		"analyzer":   {func(c *elastic.Config) { c.Analyzer = "en" }, "analyzer"},
		"stop words": {func(c *elastic.Config) { c.StopWords = []string{"red"} }, "stop_words"},
		"k1":         {func(c *elastic.Config) { c.K1 = 2 }, "k1"},
		"shards":     {func(c *elastic.Config) { c.Shards = 3 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			other := c
			test.change(&other)
			index := reopen(t, other)
			stats, err := index.Stats(t.Context())
			if said := strings.Join(stats.Outdated, " "); err != nil || (test.want == "") != (said == "") || !strings.Contains(said, test.want) {
				t.Errorf("outdated = %q, %v; want %q", said, err, test.want)
			}
			if got := fmt.Sprint(search(t, index, "red")); got != want {
				t.Errorf("hits = %s, want %s", got, want)
			}
		})
	}
}

// TestOperatorsTemplate: an index template of the cluster's operators holds for
// Needle's indexes too, as far as it does not contradict Needle.
func TestOperatorsTemplate(t *testing.T) {
	c := config(t)
	template := c.Addresses[0] + "/_index_template/" + c.IndexPrefix + "template"
	ask(t, "PUT", template, `{"index_patterns":["`+c.IndexPrefix+`*"],"priority":500,"template":{"settings":{"index.codec":"best_compression","index.refresh_interval":"7s"}}}`)
	defer ask(t, "DELETE", template, "")
	create(t, c, retrievertest.Entry("a", "text"))
	answer := ask(t, "GET", c.Addresses[0]+"/"+c.IndexPrefix+"test/_settings?flat_settings=true", "")
	for _, its := range answer {
		settings, _ := its.(map[string]any)["settings"].(map[string]any)
		if settings["index.codec"] != "best_compression" || settings["index.refresh_interval"] != "-1" {
			t.Errorf("settings = %v, want the codec of the template and Needle's refresh_interval", settings)
		}
	}
}

// TestForeignIndex leaves indexes alone that Needle did not make.
func TestForeignIndex(t *testing.T) {
	c := config(t)
	foreign := c.Addresses[0] + "/" + c.IndexPrefix + "foreign"
	ask(t, "PUT", foreign, "{}")
	defer ask(t, "DELETE", foreign, "")
	backend := newBackend(t, c)
	if names, err := backend.Names(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("Names = %q, %v; want none", names, err)
	}
	if _, err := backend.Open(t.Context(), "foreign"); !errors.Is(err, retriever.ErrCorrupt) {
		t.Errorf("Open: %v, want ErrCorrupt", err)
	}
	if err := backend.Drop(t.Context(), "foreign"); !errors.Is(err, retriever.ErrCorrupt) {
		t.Errorf("Drop: %v, want ErrCorrupt", err)
	}
	if _, err := backend.Create(t.Context(), "foreign"); err == nil {
		t.Error("Create of a name that is taken: no error")
	}
}

// TestShards spreads passages over shards; ties and scores do not show it.
func TestShards(t *testing.T) {
	entries := []retriever.Entry{
		retrievertest.Entry("a", "red fox", "equal text", "red hen"), retrievertest.Entry("b", "equal text", "red red"), retrievertest.Entry("c", "equal text"),
	}
	var want []retriever.Hit
	for _, shards := range []int{1, 3} {
		c := config(t)
		c.Shards = shards
		index := create(t, c, entries...)
		var hits []retriever.Hit
		for _, text := range []string{"equal text", "red", "fox hen"} {
			results, err := index.Retrieve(t.Context(), retriever.Query{Text: text, TopK: 10, AllGroups: true})
			if err != nil {
				t.Fatal(err)
			}
			hits = append(hits, results.Hits...)
		}
		if want == nil {
			want = hits
			continue
		}
		if len(hits) != len(want) {
			t.Fatalf("%d hits with %d shards, %d with one", len(hits), shards, len(want))
		}
		for i := range hits {
			if hits[i].ID() != want[i].ID() || math.Abs(hits[i].Scores.BM25-want[i].Scores.BM25) > 1e-6 {
				t.Errorf("hit %d with %d shards is %s %v, with one %s %v", i, shards, hits[i].ID(), hits[i].Scores.BM25, want[i].ID(), want[i].Scores.BM25)
			}
		}
	}
}
