package pipeline

import (
	"context"
	"fmt"

	"github.com/needle-search/needle/retriever"
)

// IndexSection says more of one index.
type IndexSection struct {
	// Fields are types of metadata fields. They are declared when the index is
	// made, and when it is opened.
	Fields map[string]retriever.FieldType `yaml:"fields"`
}

func validateIndexes(indexes map[string]IndexSection, fault func(key string, value any, allowed string)) {
	for name, section := range indexes {
		if retriever.ValidIndexName(name) != nil {
			fault("indexes", fmt.Sprintf("%q", name), "the name of an index")
		}
		for field, typ := range section.Fields {
			if _, err := retriever.ParseFieldType(string(typ)); err != nil || field == "" {
				fault("indexes."+name+".fields."+field, fmt.Sprintf("%q", typ), "keyword, number, date or boolean")
			}
		}
	}
}

// declareConfigured gives the fields of an index the types that the
// configuration names. An index whose documents say otherwise goes on as it is:
// that is for somebody to decide, and no reason not to answer.
func (p *Pipeline) declareConfigured(ctx context.Context, name string, index retriever.Index) {
	if err := declare(ctx, index, p.config.Indexes[name].Fields); err != nil {
		p.logger.Warn("the types of fields in the configuration were not declared", "index", name, "error", err)
	}
}
