package bleve

import (
	"fmt"
	"slices"

	"github.com/needle-search/needle/retriever"
)

// typesFit reports whether a document's metadata has the types that the fields
// have already. The error wraps ErrFieldConflict.
func (c *change) typesFit(p *prepared) error {
	var conflicts []string
	for name, typ := range p.types {
		if known, ok := c.fields[name]; ok && known != typ {
			conflicts = append(conflicts, fmt.Sprintf("%q is a %s in this index, not a %s", name, known, typ))
		}
	}
	if conflicts == nil {
		return nil
	}
	slices.Sort(conflicts)
	return fmt.Errorf("%w: document %q: %s", retriever.ErrFieldConflict, p.id, conflicts)
}
