package elastic

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/needle-search/needle/retriever"
)

// scanSize is how many documents one answer of a scan holds.
const scanSize = 1000

// scan returns all documents of the server that match a query, ordered by
// document and ordinal. With a point in time (see pinned) they are those of that
// moment. The sequence ends after an error.
func (x *Index) scan(ctx context.Context, query object, pit string) iter.Seq2[*found, error] {
	return func(yield func(*found, error) bool) {
		p := page{query: query, size: scanSize, pit: pit, sort: []any{
			object{fieldDocument: "asc"}, object{fieldBorn: "asc"}, object{fieldOrdinal: object{"order": "asc", "missing": "_first"}},
		}}
		for {
			list, err := x.page(ctx, p)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range list {
				if !yield(&list[i], nil) {
					return
				}
			}
			if len(list) < p.size {
				return
			}
			p.after = list[len(list)-1].Sort
		}
	}
}

// records calls each with the records of the given documents, absent ones left
// out.
func (x *Index) records(ctx context.Context, v *view, ids []string, each func(*found, *documentRecord)) error {
	for part := range slices.Chunk(ids, scanSize) {
		for f, err := range x.scan(ctx, v.query(term(fieldKind, kindDocument), anyOf(fieldDocument, part)), "") {
			if err != nil {
				return err
			}
			record, err := decode[documentRecord](f)
			if err != nil {
				return err
			}
			each(f, &record)
		}
	}
	return nil
}

var _ retriever.EntryReader = (*Index)(nil)

// Document implements [retriever.Documents].
func (x *Index) Document(ctx context.Context, id string) (retriever.Document, error) {
	e, err := x.Entry(ctx, id)
	return e.Document, err
}

// Entry implements [retriever.EntryReader].
func (x *Index) Entry(ctx context.Context, id string) (retriever.Entry, error) {
	var e retriever.Entry
	err := x.withView(ctx, func(v *view) error {
		var record *documentRecord
		var revision string
		err := x.records(ctx, v, []string{id}, func(f *found, r *documentRecord) { record, revision = r, f.Source.Revision })
		if err != nil {
			return err
		}
		if record == nil {
			return fmt.Errorf("%w: %q", retriever.ErrDocumentNotFound, id)
		}
		b := newEntryBuilder(id, record)
		for f, err := range x.scan(ctx, v.query(term(fieldKind, kindPassage), term(fieldRevision, revision)), "") {
			if err != nil {
				return err
			}
			if err := b.add(f); err != nil {
				return err
			}
		}
		e, err = b.finish()
		return err
	})
	if err != nil {
		return retriever.Entry{}, x.fail("read from", err)
	}
	return e, nil
}

// entryBuilder puts an entry together again from its record and its passages,
// which it is given in order.
type entryBuilder struct {
	entry  retriever.Entry
	record *documentRecord
	text   textBuilder
}

func newEntryBuilder(id string, r *documentRecord) *entryBuilder {
	return &entryBuilder{record: r, text: textBuilder{gaps: r.Gaps}, entry: retriever.Entry{
		ContentHash: r.Hash,
		Document: retriever.Document{
			ID: id, Title: r.Title, Metadata: retriever.DecodeMetadata(r.Metadata), Source: r.Source,
			Groups: r.Groups, Language: r.Language, Sections: r.Sections, Pages: r.Pages,
		},
	}}
}

func (b *entryBuilder) add(f *found) error {
	hit, err := f.passage()
	if err == nil {
		err = b.text.add(hit.Start, hit.End, hit.Text)
	}
	if err != nil {
		return fmt.Errorf("document %q: %w", b.entry.Document.ID, err)
	}
	b.entry.Passages = append(b.entry.Passages, hit.Passage)
	return nil
}

func (b *entryBuilder) finish() (retriever.Entry, error) {
	var err error
	b.entry.Document.Text, err = b.text.finish(b.record.Runes)
	if err == nil && len(b.entry.Passages) != b.record.Passages {
		err = fmt.Errorf("%w: it has %d passages, want %d", retriever.ErrCorrupt, len(b.entry.Passages), b.record.Passages)
	}
	if err != nil {
		return retriever.Entry{}, fmt.Errorf("document %q: %w", b.entry.Document.ID, err)
	}
	return b.entry, nil
}

func (b *textBuilder) addFound(f *found) error {
	hit, err := f.passage()
	if err != nil {
		return err
	}
	return b.add(hit.Start, hit.End, hit.Text)
}

// Infos implements [retriever.Documents].
func (x *Index) Infos(ctx context.Context, ids []string) (map[string]retriever.DocumentInfo, error) {
	infos := make(map[string]retriever.DocumentInfo, len(ids))
	err := x.withView(ctx, func(v *view) error {
		return x.records(ctx, v, ids, func(f *found, r *documentRecord) {
			infos[f.Source.Document] = r.info(f.Source.Document)
		})
	})
	if err != nil {
		return nil, x.fail("read from", err)
	}
	return infos, nil
}

// List implements [retriever.Documents].
func (x *Index) List(ctx context.Context, after string, limit int) ([]retriever.DocumentInfo, error) {
	var infos []retriever.DocumentInfo
	err := x.withView(ctx, func(v *view) error {
		if limit <= 0 {
			return nil
		}
		p := page{
			query: v.query(term(fieldKind, kindDocument), object{"range": object{fieldDocument: object{"gt": after}}}),
			sort:  []any{object{fieldDocument: "asc"}},
		}
		for len(infos) < limit {
			p.size = min(limit-len(infos), scanSize)
			list, err := x.page(ctx, p)
			if err != nil {
				return err
			}
			for i := range list {
				record, err := decode[documentRecord](&list[i])
				if err != nil {
					return err
				}
				infos = append(infos, record.info(list[i].Source.Document))
			}
			if len(list) < p.size {
				break
			}
			p.after = list[len(list)-1].Sort
		}
		return nil
	})
	if err != nil {
		return nil, x.fail("list", err)
	}
	return infos, nil
}
