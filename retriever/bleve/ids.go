package bleve

import (
	"slices"
	"strings"

	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// idReader goes through the ids of the documents of all segments in order, each
// once, those of deleted documents included. It works in the caller's goroutine,
// unlike the dictionary that scorch makes of a snapshot: there, a file that was
// cut short would end the process.
type idReader struct{ lists []idList }

// idList is what is left of one segment's ids: the first, and the rest.
type idList struct {
	id   string
	rest segment.DictionaryIterator
}

// idsAfter starts behind an id, or with the first one if it is empty.
func (v view) idsAfter(after string) (*idReader, error) {
	// Nothing sorts between an id and itself followed by NUL, and no id in UTF-8
	// holds the byte 0xff.
	start := documentPrefix
	if after != "" {
		start = documentKey(after) + "\x00"
	}
	r := &idReader{}
	for _, s := range v.Segments() {
		dictionary, err := s.Segment().Dictionary(fieldID)
		if err != nil {
			return nil, err
		}
		list := idList{rest: dictionary.AutomatonIterator(nil, []byte(start), []byte(documentPrefix+"\xff"))}
		there, err := list.advance()
		if err != nil {
			return nil, err
		}
		if there {
			r.lists = append(r.lists, list)
		}
	}
	return r, nil
}

func (l *idList) advance() (there bool, err error) {
	entry, err := l.rest.Next()
	if err != nil || entry == nil {
		return false, err
	}
	l.id = strings.TrimPrefix(entry.Term, documentPrefix)
	return true, nil
}

// next returns the next id, or false at the end.
func (r *idReader) next() (id string, there bool, err error) {
	for i := range r.lists {
		if !there || r.lists[i].id < id {
			id, there = r.lists[i].id, true
		}
	}
	for i := 0; i < len(r.lists); {
		if r.lists[i].id != id {
			i++
			continue
		}
		more, err := r.lists[i].advance()
		if err != nil {
			return "", false, err
		}
		if more {
			i++
		} else {
			r.lists = slices.Delete(r.lists, i, i+1)
		}
	}
	return id, there, nil
}
