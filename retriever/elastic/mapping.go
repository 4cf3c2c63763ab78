package elastic

import (
	"fmt"
)

// formatVersion is the version of the layout on the server. It grows with every
// change that an older program could not read.
const formatVersion = 1

// The fields of a document on the server.
const (
	fieldContent  = "content"  // passage: title and text, scored
	fieldDocument = "doc"      // id of the Needle document
	fieldRevision = "rev"      // revision of the Needle document, see revisionOf
	fieldBorn     = "born"     // number of the commit that wrote it
	fieldKind     = "kind"     // one of the kinds below
	fieldOrdinal  = "ordinal"  // passage: position among the document's passages
	fieldGroups   = "groups"   // who may see it
	fieldMetadata = "metadata" // terms for filters, see metadata.go
	fieldRecord   = "record"   // what is only stored
)

// The kinds of documents on the server.
const (
	kindPassage  = "passage"
	kindDocument = "document"
	kindState    = "state"
)

// groupPublic stands for everybody; no group has an empty name.
const groupPublic = ""

// stateID is the id of the state; other ids start with a hexadecimal digest.
const stateID = "state"

// analyzerField is the name of the analyzer within an index.
const analyzerField = "needle_text"

// meta is what the mapping of an index says about it.
type meta struct {
	Format   int    `json:"format"`
	Name     string `json:"name"`
	Prefix   string `json:"prefix"`
	Analyzer string `json:"analyzer"`
	// StopWords is the list that replaces the analyzer's own, if any.
	StopWords []string `json:"stop_words,omitempty"`
	K1        float64  `json:"k1"`
	B         float64  `json:"b"`
	// Token tells an index from another one of the same name.
	Token string `json:"token"`
	// shards is what the server says.
	shards int
}

// indexBody is the request that makes an index.
func indexBody(c Config, m meta, aliases ...string) object {
	analyzer := object{"type": m.Analyzer}
	switch {
	case len(m.StopWords) > 0:
		analyzer["stopwords"] = m.StopWords
	case m.Analyzer == analyzerStandard:
		analyzer["stopwords"] = "_english_"
	}
	names := object{}
	for _, alias := range aliases {
		names[alias] = object{}
	}
	keyword := object{"type": "keyword"}
	return object{
		"aliases": names,
		"settings": object{
			"number_of_shards":   c.Shards,
			"number_of_replicas": c.Replicas,
			// What is acknowledged is on disk.
			"index.translog.durability": "request",
			// Commits refresh; in between there is nothing to show.
			"index.refresh_interval":        "-1",
			"index.max_result_window":       pageSize,
			"index.analyze.max_token_count": 1_000_000,
			"analysis":                      object{"analyzer": object{analyzerField: analyzer}},
			"similarity":                    object{"default": object{"type": "BM25", "k1": m.K1, "b": m.B}},
		},
		"mappings": object{
			"_meta":   object{"needle": m},
			"dynamic": "strict",
			"properties": object{
				fieldContent:  object{"type": "text", "analyzer": analyzerField, "index_options": "freqs"},
				fieldDocument: keyword,
				fieldRevision: keyword,
				fieldKind:     keyword,
				fieldBorn:     object{"type": "long"},
				fieldOrdinal:  object{"type": "integer"},
				fieldGroups:   object{"type": "keyword", "doc_values": false},
				fieldMetadata: keyword, // its values are counted, see facets.go
				fieldRecord:   object{"type": "object", "enabled": false},
			},
		},
	}
}

// explainAnalyzer adds to an error what can be done if the server lacks an
// analyzer.
func explainAnalyzer(err error, name string) error {
	return fmt.Errorf("the server has no analyzer %q; use analyzer standard, or install Elasticsearch's full distribution, whose module analysis-common holds the languages: %w", name, err)
}
