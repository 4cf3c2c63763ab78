package bleve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/index/scorch"

	"github.com/needle-search/needle/retriever"
)

// maxFaults bounds how many faults Verify reports.
const maxFaults = 100

// Verify implements [retriever.Verifier]. It compares the checksum of every
// file, puts every document's text together, counts every term and compares the
// sums with the statistics.
func (x *Index) Verify(ctx context.Context) error {
	err := x.withView(ctx, func(v view) error {
		c := &checker{view: v}
		for _, s := range v.Segments() {
			if err := c.segment(ctx, s); err != nil {
				return err
			}
		}
		return c.sums()
	})
	if err == nil {
		err = x.verifyVectors(ctx)
	}
	if err != nil {
		return x.fail("verify", err)
	}
	return nil
}

// checker gathers what is wrong with an index.
type checker struct {
	view   view
	found  state
	faults []error
}

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf("%w: "+format, append([]any{retriever.ErrCorrupt}, args...)...))
	}
}

// segment checks one segment. It returns an error only if it is cancelled.
func (c *checker) segment(ctx context.Context, s *scorch.SegmentSnapshot) error {
	if file, ok := s.Segment().(interface {
		Path() string
		Version() uint32
	}); ok {
		if _, err := checkSegment(segmentFile{file.Path(), file.Version()}, math.MaxInt64); err != nil {
			c.faults = append(c.faults, err)
			// What a damaged file holds is not worth a look.
			return nil
		}
	}
	lengths := map[uint64]uint64{}
	passages := map[string]int{}
	documents := map[string]*documentRecord{}
	for n := range s.Segment().Count() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.Deleted() != nil && s.Deleted().Contains(uint32(n)) {
			continue
		}
		key, data, err := stored(s, n)
		if err != nil {
			c.fault("record %d of segment %d: %v", n, s.Id(), err)
			continue
		}
		if id, ok := strings.CutPrefix(key, documentPrefix); ok {
			d, err := decodeDocument(data)
			if err != nil {
				c.fault("document %q: %v", id, err)
				continue
			}
			documents[id] = d
			continue
		}
		id, _, err := splitPassageKey(key)
		if err != nil {
			c.fault("record %d of segment %d: %v", n, s.Id(), err)
			continue
		}
		p, err := decodePassage(data)
		if err != nil {
			c.fault("passage %q: %v", key, err)
			continue
		}
		passages[id]++
		lengths[n] = uint64(p.Terms)
		c.found.Passages++
		c.found.Terms += uint64(p.Terms)
	}
	for id, d := range documents {
		c.found.Documents++
		if err := c.document(ctx, s, id, d, passages[id]); err != nil {
			return err
		}
		delete(passages, id)
	}
	for id, n := range passages {
		c.fault("%d passages belong to document %q, which is not there", n, id)
	}
	return c.terms(ctx, s, lengths)
}

func (c *checker) document(ctx context.Context, s *scorch.SegmentSnapshot, id string, d *documentRecord, passages int) error {
	if passages != d.Passages {
		c.fault("document %q has %d passages, not %d", id, passages, d.Passages)
		return nil
	}
	text, err := documentText(ctx, s, id, d)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.fault("document %q: %v", id, err)
		return nil
	}
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) != d.Runes {
		c.fault("document %q has %d characters, not %d", id, utf8.RuneCountInString(text), d.Runes)
	}
	return nil
}

// terms counts the terms of every passage and compares the sums with the
// lengths that are stored in the passages and beside each term.
func (c *checker) terms(ctx context.Context, s *scorch.SegmentSnapshot, lengths map[uint64]uint64) error {
	dictionary, err := s.Segment().Dictionary(fieldText)
	if err != nil {
		c.fault("terms of segment %d: %v", s.Id(), err)
		return nil
	}
	counted := make(map[uint64]uint64, len(lengths))
	terms := dictionary.AutomatonIterator(nil, nil, nil)
	for entry, err := terms.Next(); entry != nil || err != nil; entry, err = terms.Next() {
		if err != nil {
			c.fault("terms of segment %d: %v", s.Id(), err)
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		postings, err := dictionary.PostingsList([]byte(entry.Term), s.Deleted(), nil)
		if err != nil {
			c.fault("term %q of segment %d: %v", entry.Term, s.Id(), err)
			continue
		}
		iterator := postings.Iterator(true, true, false, nil)
		for posting, err := iterator.Next(); posting != nil || err != nil; posting, err = iterator.Next() {
			if err != nil {
				c.fault("term %q of segment %d: %v", entry.Term, s.Id(), err)
				break
			}
			n := posting.Number()
			counted[n] += posting.Frequency()
			if known, ok := posting.(lengthKnower); !ok || known.NormUint64() != lengths[n] {
				c.fault("term %q in record %d of segment %d disagrees about the passage's length", entry.Term, n, s.Id())
			}
		}
	}
	for n, length := range lengths {
		if counted[n] != length {
			c.fault("record %d of segment %d has %d terms, not %d", n, s.Id(), counted[n], length)
		}
	}
	return nil
}

// sums compares what was found with the statistics.
func (c *checker) sums() error {
	for _, sum := range []struct {
		what        string
		found, want uint64
	}{
		{"documents", c.found.Documents, c.view.state.Documents},
		{"passages", c.found.Passages, c.view.state.Passages},
		{"terms", c.found.Terms, c.view.state.Terms},
	} {
		if sum.found != sum.want {
			c.fault("there are %d %s, the statistics say %d", sum.found, sum.what, sum.want)
		}
	}
	return errors.Join(c.faults...)
}
