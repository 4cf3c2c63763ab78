package bleve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// buildFlat writes the flat file of a segment to path. The file appears there
// whole or not at all; it is not synced, because a damaged one is noticed and
// made anew.
func buildFlat(ctx context.Context, path string, s segment.Segment, segmentCRC uint32) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), prefixUnfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = writeFlat(ctx, file, s, segmentCRC)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// prefixUnfinished starts the names of flat files that are being written.
const prefixUnfinished = ".writing-"

func writeFlat(ctx context.Context, file *os.File, s segment.Segment, segmentCRC uint32) error {
	if _, err := file.Write(make([]byte, flatHeaderSize)); err != nil {
		return err
	}
	w := newFlatWriter(file)
	if err := copyPostings(ctx, w, s); err != nil {
		return err
	}
	parents, ranks, err := family(ctx, s)
	if err != nil {
		return err
	}
	header, err := w.finish(segmentCRC, parents, ranks)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(header.encode(), 0)
	return err
}

// copyPostings copies the scored postings of a segment, those of deleted
// records too: deletions come and go without the segment's file changing.
func copyPostings(ctx context.Context, w *flatWriter, s segment.Segment) error {
	dictionary, err := s.Dictionary(fieldText)
	if err != nil {
		return err
	}
	terms := dictionary.AutomatonIterator(nil, nil, nil)
	var postings segment.PostingsList
	var iterator segment.PostingsIterator
	for {
		entry, err := terms.Next()
		if err != nil || entry == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		term := []byte(entry.Term)
		if postings, err = dictionary.PostingsList(term, nil, postings); err != nil {
			return err
		}
		iterator = postings.Iterator(true, true, false, iterator)
		for {
			posting, err := iterator.Next()
			if err != nil {
				return err
			}
			if posting == nil {
				break
			}
			length, ok := posting.(lengthKnower)
			if !ok {
				return fmt.Errorf("segment of type %T does not know the length of a passage", s)
			}
			tf, n := posting.Frequency(), length.NormUint64()
			if posting.Number() >= noRecord || tf > math.MaxUint32 || n > math.MaxUint32 {
				return errors.New("a posting is too large")
			}
			w.add(uint32(posting.Number()), uint32(tf), uint32(n))
		}
		if err := w.end(term); err != nil {
			return err
		}
	}
}

// family returns for each record of a segment the record of its document and
// its place in the order of keys.
func family(ctx context.Context, s segment.Segment) (parents, ranks []uint32, err error) {
	dictionary, err := s.Dictionary(fieldID)
	if err != nil {
		return nil, nil, err
	}
	parents, ranks = make([]uint32, s.Count()), make([]uint32, s.Count())
	// The keys of documents and those of passages are in the same order, and the
	// documents come first. The document of a key may be there twice: as it was
	// before and as it is now.
	type document struct {
		id     []byte
		record uint32
	}
	var documents []document
	keys := dictionary.AutomatonIterator(nil, nil, nil)
	var postings segment.PostingsList
	var iterator segment.PostingsIterator
	next, rank := 0, uint32(0)
	for {
		entry, err := keys.Next()
		if err != nil || entry == nil {
			return parents, ranks, err
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		key := []byte(entry.Term)
		if postings, err = dictionary.PostingsList(key, nil, postings); err != nil {
			return nil, nil, err
		}
		id := key[1:]
		if key[0] == passagePrefix[0] {
			id = id[:max(0, bytes.IndexByte(id, 0))]
			for next < len(documents) && bytes.Compare(documents[next].id, id) < 0 {
				next++
			}
		}
		rank++
		iterator = postings.Iterator(false, false, false, iterator)
		for {
			posting, err := iterator.Next()
			if err != nil {
				return nil, nil, err
			}
			if posting == nil {
				break
			}
			n := posting.Number()
			ranks[n], parents[n] = rank, noRecord
			switch {
			case key[0] == documentPrefix[0]:
				parents[n] = uint32(n)
				documents = append(documents, document{bytes.Clone(id), uint32(n)})
			case next < len(documents) && bytes.Equal(documents[next].id, id) &&
				(next+1 == len(documents) || !bytes.Equal(documents[next+1].id, id)):
				parents[n] = documents[next].record
			}
		}
	}
}
