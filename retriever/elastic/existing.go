package elastic

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/needle-search/needle/retriever"
)

// An Existing is an index that others made and write to. Needle reads it as it
// is and never changes it.
type Existing struct {
	// Index is the name of the Elasticsearch index, an alias, or a pattern such
	// as "articles-*".
	Index string `yaml:"index"`
	// Text is the field with the text, Title that with the title, if there is
	// one. Both are searched.
	Text  string `yaml:"text"`
	Title string `yaml:"title"`
	// ID is a field that names each document and can be sorted by, such as one of
	// type keyword. Empty means Elasticsearch's _id; then documents cannot be
	// listed, because Elasticsearch does not sort by that.
	ID string `yaml:"id"`
	// URI is a field that says where a document came from.
	URI string `yaml:"uri"`
	// Groups is a keyword field with the groups that may see a document. A
	// document without groups is seen by all. Empty means that all see all.
	Groups string `yaml:"groups"`
	// Metadata says under which keys which fields can be filtered by. They are of
	// the types keyword, boolean, dates and numbers.
	Metadata map[string]string `yaml:"metadata"`
}

// The patterns of names on the server: those of indexes, without a comma, which
// would make a list; and those of fields, without wildcards.
var (
	existingPattern = regexp.MustCompile(`^[^\s,\\/?"<>|#:+-][^\s,\\/?"<>|#:]*$`)
	fieldPattern    = regexp.MustCompile(`^[^\s*?,]+$`)
)

// validate reports what of the setting cannot work.
func (e Existing) validate(name, prefix string) error {
	var faults []error
	fault := func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf("existing."+name+"."+key+": "+format, args...))
	}
	if err := retriever.ValidIndexName(name); err != nil {
		faults = append(faults, fmt.Errorf("existing: %w", err))
	}
	switch {
	case !existingPattern.MatchString(e.Index):
		fault("index", "%q is not allowed; give the name of an Elasticsearch index, an alias or a pattern", e.Index)
	case strings.HasPrefix(e.Index, prefix):
		fault("index", "%q starts with index_prefix, which is for indexes that Needle makes", e.Index)
	}
	for _, f := range e.fields() {
		optional := f.key != "text" && !strings.HasPrefix(f.key, "metadata")
		if (f.name != "" || !optional) && !fieldPattern.MatchString(f.name) {
			fault(f.key, "%q is not allowed; give the name of a field", f.name)
		}
	}
	return errors.Join(faults...)
}

// fieldUse is a field and the key of the configuration that names it.
type fieldUse struct {
	key, name string
	metadata  string // the key of the metadata
}

// fields returns the fields that are used, also those that are empty.
func (e Existing) fields() []fieldUse {
	list := []fieldUse{{"text", e.Text, ""}, {"title", e.Title, ""}, {"id", e.ID, ""}, {"uri", e.URI, ""}, {"groups", e.Groups, ""}}
	for _, key := range slices.Sorted(maps.Keys(e.Metadata)) {
		list = append(list, fieldUse{"metadata." + key, e.Metadata[key], key})
	}
	return list
}

// fieldTypes says how a type of Elasticsearch can be filtered by.
var fieldTypes = map[string]retriever.FieldType{
	"keyword": retriever.Keyword, "constant_keyword": retriever.Keyword, "wildcard": retriever.Keyword, "ip": retriever.Keyword,
	"long": retriever.Number, "integer": retriever.Number, "short": retriever.Number, "byte": retriever.Number, "unsigned_long": retriever.Number,
	"double": retriever.Number, "float": retriever.Number, "half_float": retriever.Number, "scaled_float": retriever.Number,
	"date": retriever.Date, "date_nanos": retriever.Date, "boolean": retriever.Boolean,
}
