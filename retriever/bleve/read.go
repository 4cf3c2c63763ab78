package bleve

import (
	"context"
	"fmt"
	"strings"

	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/needle-search/needle/retriever"
)

// locate finds the live record of a key: its segment and its number there.
func (v view) locate(key string) (*scorch.SegmentSnapshot, uint64, bool, error) {
	for _, segment := range v.Segments() {
		n, ok, err := locateIn(segment, key)
		if err != nil || ok {
			return segment, n, ok, err
		}
	}
	return nil, 0, false, nil
}

func locateIn(segment *scorch.SegmentSnapshot, key string) (uint64, bool, error) {
	dictionary, err := segment.Segment().Dictionary(fieldID)
	if err != nil {
		return 0, false, err
	}
	postings, err := dictionary.PostingsList([]byte(key), segment.Deleted(), nil)
	if err != nil {
		return 0, false, err
	}
	next, err := postings.Iterator(false, false, false, nil).Next()
	if err != nil || next == nil {
		return 0, false, err
	}
	return next.Number(), true, nil
}

// finder looks up many keys in the same segments.
type finder struct {
	segments     []*scorch.SegmentSnapshot
	dictionaries []segment.TermDictionary
	postings     segment.PostingsList
}

func (v view) finder() (*finder, error) {
	f := &finder{segments: v.Segments()}
	for _, s := range f.segments {
		dictionary, err := s.Segment().Dictionary(fieldID)
		if err != nil {
			return nil, err
		}
		f.dictionaries = append(f.dictionaries, dictionary)
	}
	return f, nil
}

// document returns the record of a document, or nil if the index has none.
func (f *finder) document(id string) (*documentRecord, error) {
	key := []byte(documentKey(id))
	for i, s := range f.segments {
		var err error
		if f.postings, err = f.dictionaries[i].PostingsList(key, s.Deleted(), f.postings); err != nil {
			return nil, err
		}
		if f.postings.Count() == 0 {
			continue
		}
		next, err := f.postings.Iterator(false, false, false, nil).Next()
		if err != nil {
			return nil, err
		}
		_, data, err := stored(s, next.Number())
		if err != nil {
			return nil, err
		}
		return decodeDocument(data)
	}
	return nil, nil
}

// stored returns the key and the encoded record with number n. The bytes are
// the caller's.
func stored(segment *scorch.SegmentSnapshot, n uint64) (key string, data []byte, err error) {
	err = segment.VisitDocument(n, func(field string, _ byte, value []byte, _ []uint64) bool {
		switch field {
		case fieldID:
			key = string(value)
		case fieldRecord:
			data = append([]byte(nil), value...)
		}
		return true
	})
	if err == nil && (key == "" || data == nil) {
		err = fmt.Errorf("%w: record %d of segment %d is empty", retriever.ErrCorrupt, n, segment.Id())
	}
	return key, data, err
}

// document returns the record of a document, or nil if the index has none.
func (v view) document(id string) (*documentRecord, error) {
	segment, n, ok, err := v.locate(documentKey(id))
	if err != nil || !ok {
		return nil, err
	}
	_, data, err := stored(segment, n)
	if err != nil {
		return nil, err
	}
	return decodeDocument(data)
}

// Document implements [retriever.Documents].
func (x *Index) Document(ctx context.Context, id string) (retriever.Document, error) {
	var document retriever.Document
	err := x.withView(ctx, func(v view) error {
		segment, n, ok, err := v.locate(documentKey(id))
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: %q", retriever.ErrDocumentNotFound, id)
		}
		_, data, err := stored(segment, n)
		if err != nil {
			return err
		}
		r, err := decodeDocument(data)
		if err != nil {
			return err
		}
		text, err := documentText(ctx, segment, id, r)
		if err != nil {
			return err
		}
		document = r.document(id, text)
		return nil
	})
	if err != nil {
		return retriever.Document{}, x.fail("read from", err)
	}
	return document, nil
}

// documentText puts a document's text together from its passages, which lie in
// the document's segment.
func documentText(ctx context.Context, segment *scorch.SegmentSnapshot, id string, r *documentRecord) (string, error) {
	fault := func(ordinal int, what string) error {
		return fmt.Errorf("%w: document %q: passage %d %s", retriever.ErrCorrupt, id, ordinal, what)
	}
	var text strings.Builder
	text.Grow(min(r.Bytes, 1<<20))
	text.WriteString(r.Lead)
	for ordinal := range r.Passages {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, ok, err := locateIn(segment, passageKey(id, ordinal))
		if err != nil {
			return "", err
		}
		if !ok {
			return "", fault(ordinal, "is missing")
		}
		_, data, err := stored(segment, n)
		if err != nil {
			return "", err
		}
		p, err := decodePassage(data)
		if err != nil {
			return "", err
		}
		if p.Offset > text.Len() {
			return "", fault(ordinal, "leaves a gap")
		}
		if known := text.Len() - p.Offset; known < len(p.Stretch) {
			text.WriteString(p.Stretch[known:])
		}
	}
	if text.Len() != r.Bytes {
		return "", fmt.Errorf("%w: document %q has %d bytes of text, not %d", retriever.ErrCorrupt, id, text.Len(), r.Bytes)
	}
	return text.String(), nil
}

// Infos implements [retriever.Documents].
func (x *Index) Infos(ctx context.Context, ids []string) (map[string]retriever.DocumentInfo, error) {
	infos := make(map[string]retriever.DocumentInfo, len(ids))
	err := x.withView(ctx, func(v view) error {
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return err
			}
			r, err := v.document(id)
			if err != nil {
				return err
			}
			if r != nil {
				infos[id] = r.info(id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, x.fail("read from", err)
	}
	return infos, nil
}

// List implements [retriever.Documents].
func (x *Index) List(ctx context.Context, after string, limit int) ([]retriever.DocumentInfo, error) {
	var infos []retriever.DocumentInfo
	if limit <= 0 {
		return nil, nil
	}
	err := x.withView(ctx, func(v view) error {
		ids, err := v.idsAfter(after)
		if err != nil {
			return err
		}
		for len(infos) < limit {
			if err := ctx.Err(); err != nil {
				return err
			}
			id, there, err := ids.next()
			if err != nil || !there {
				return err
			}
			// The dictionary still names documents that were deleted.
			r, err := v.document(id)
			if err != nil {
				return err
			}
			if r != nil {
				infos = append(infos, r.info(id))
			}
		}
		return nil
	})
	if err != nil {
		return nil, x.fail("list", err)
	}
	return infos, nil
}
