package bleve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/needle-search/needle/retriever"
)

// typesFit reports whether a document's metadata has the types that the fields
// have already. The error wraps ErrFieldConflict.
func (c *change) typesFit(p *prepared) error {
	if err := c.conflicts(p.types); err != nil {
		return fmt.Errorf("%w: document %q: %w", retriever.ErrFieldConflict, p.id, err)
	}
	return nil
}

var _ retriever.FieldDeclarer = (*Index)(nil)

// DeclareFields implements [retriever.FieldDeclarer].
func (x *Index) DeclareFields(ctx context.Context, fields map[string]retriever.FieldType) error {
	if err := x.declareFields(ctx, fields); err != nil {
		return x.fail("declare fields of", err)
	}
	return nil
}

func (x *Index) declareFields(ctx context.Context, fields map[string]retriever.FieldType) error {
	end, err := x.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	for name, typ := range fields {
		if _, err := retriever.ParseFieldType(string(typ)); err != nil || name == "" || strings.IndexByte(name, 0) >= 0 {
			return errors.Join(fmt.Errorf("%w: field %q cannot be declared", retriever.ErrFieldConflict, name), err)
		}
	}
	r, err := x.submit(ctx, &request{declare: fields})
	if err != nil {
		return err
	}
	var refused []error
	if err := r.wait(ctx, &refused); err != nil {
		return err
	}
	return errors.Join(refused...)
}

// declare adds fields to the change, all or none.
func (c *change) declare(fields map[string]retriever.FieldType) error {
	if err := c.conflicts(fields); err != nil {
		return fmt.Errorf("%w: %w", retriever.ErrFieldConflict, err)
	}
	for name, typ := range fields {
		if _, known := c.fields[name]; known {
			continue
		}
		if c.fields == nil {
			c.fields = map[string]retriever.FieldType{}
		}
		c.fields[name] = typ
		c.declared = true
	}
	return nil
}

// conflicts names the fields that have another type already.
func (c *change) conflicts(types map[string]retriever.FieldType) error {
	var conflicts []string
	for name, typ := range types {
		if known, ok := c.fields[name]; ok && known != typ {
			conflicts = append(conflicts, fmt.Sprintf("%q is a %s in this index, not a %s", name, known, typ))
		}
	}
	if conflicts == nil {
		return nil
	}
	slices.Sort(conflicts)
	return errors.New(strings.Join(conflicts, "; "))
}
