package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/retriever"
)

// A Target is where documents go; every [retriever.Index] is one.
type Target interface {
	retriever.Indexer
	Infos(ctx context.Context, ids []string) (map[string]retriever.DocumentInfo, error)
}

// Options set up an [Ingester]. Zero values mean the defaults.
type Options struct {
	// Workers is how many files are read, and how many batches are split and
	// written, at once; by default 2.
	Workers int
	// BatchDocuments and BatchBytes bound what is written in one step, and so
	// what an interruption costs; by default 512 documents and 8 MiB of text.
	BatchDocuments int
	BatchBytes     int
	// MaxDocumentBytes is the longest text of one document; by default 64 MiB.
	MaxDocumentBytes int64
	// Members bounds what one archive or mail may unpack to.
	Members MemberLimits
	// Walk changes which files are taken.
	Walk WalkOptions
}

func (o Options) withDefaults() Options {
	if o.Workers < 1 {
		o.Workers = 2
	}
	if o.BatchDocuments < 1 {
		o.BatchDocuments = 512
	}
	if o.BatchBytes < 1 {
		o.BatchBytes = 8 << 20
	}
	if o.MaxDocumentBytes < 1 {
		o.MaxDocumentBytes = 64 << 20
	}
	o.Members = o.Members.withDefaults()
	return o
}

// An Ingester brings files and documents into an index. It is immutable and
// safe for concurrent use. Memory is bounded by a few batches and the longest
// document, plus about 50 bytes for every document of the run.
type Ingester struct {
	splitter   *Splitter
	processors []Processor
	options    Options
}

// New returns an ingester. Processors are asked in order; it may have none if
// only documents are added.
func New(splitter *Splitter, processors []Processor, options Options) (*Ingester, error) {
	if splitter == nil {
		return nil, errors.New("ingest: new: a splitter is needed")
	}
	return &Ingester{splitter: splitter, processors: processors, options: options.withDefaults()}, nil
}

// AddPaths reads files and directories and brings their documents into the
// index. Documents whose content hash is unchanged are not written. What cannot
// be taken is in the report and does not stop the rest.
//
// The error is not nil if the run ended early: the context was cancelled, or
// the index failed (for example with [retriever.ErrNoSpace]). The report then
// holds what was acknowledged until then; running again goes on from there.
func (g *Ingester) AddPaths(ctx context.Context, index Target, paths []string, events Events) (Report, error) {
	r := newRecorder(events)
	if events.Progress != nil {
		files, bytes := 0, int64(0)
		for found := range Walk(paths, g.options.Walk) {
			if err := ctx.Err(); err != nil {
				return r.finish(), fmt.Errorf("ingest: %w", err)
			}
			if found.Fault == nil {
				files++
				bytes += found.File.Size
			}
		}
		r.total(files, bytes)
	}
	return g.run(ctx, index, r, func(ctx context.Context, b *batcher) error {
		return g.readFiles(ctx, b, Walk(paths, g.options.Walk))
	})
}

// AddFiles is like [Ingester.AddPaths] for files from elsewhere, such as an
// upload.
func (g *Ingester) AddFiles(ctx context.Context, index Target, files []File, events Events) (Report, error) {
	r := newRecorder(events)
	bytes := int64(0)
	for _, f := range files {
		bytes += f.Size
	}
	r.total(len(files), bytes)
	return g.run(ctx, index, r, func(ctx context.Context, b *batcher) error {
		return g.readFiles(ctx, b, func(yield func(Found) bool) {
			for _, f := range files {
				if !yield(Found{File: f}) {
					return
				}
			}
		})
	})
}

// AddDocuments is like [Ingester.AddPaths] for documents. Invalid ones and ids
// that come a second time are faults, whose line is the position from 1.
func (g *Ingester) AddDocuments(ctx context.Context, index Target, documents iter.Seq[retriever.Document], events Events) (Report, error) {
	return g.run(ctx, index, newRecorder(events), func(ctx context.Context, b *batcher) error {
		position := 0
		for doc := range documents {
			position++
			if err := b.add(ctx, "", Extracted{Document: doc, Line: position}); err != nil {
				return err
			}
		}
		return nil
	})
}

// run starts the workers that split and write, and lets produce feed them.
func (g *Ingester) run(ctx context.Context, index Target, r *recorder, produce func(context.Context, *batcher) error) (Report, error) {
	group, inner := errgroup.WithContext(ctx)
	b := &batcher{ingester: g, recorder: r, seen: map[[16]byte]struct{}{}, out: make(chan []item)}
	for range g.options.Workers {
		w := writer{ingester: g, recorder: r, index: index}
		group.Go(func() error {
			for batch := range b.out {
				if err := w.write(inner, batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(b.out)
		if err := produce(inner, b); err != nil {
			return err
		}
		return b.flush(inner)
	})
	err := group.Wait()
	report := r.finish()
	switch {
	case err == nil:
		return report, nil
	case ctx.Err() != nil:
		return report, fmt.Errorf("ingest: stopped after %d documents, which are safe; run it again to go on: %w", report.Documents(), ctx.Err())
	case errors.Is(err, retriever.ErrNoSpace):
		err = fmt.Errorf("ingest: stopped after %d documents, which are safe; make room and run it again: %w", report.Documents(), err)
	default:
		err = fmt.Errorf("ingest: stopped after %d documents: %w", report.Documents(), err)
	}
	return report, err
}

// readFiles reads several files at once and hands on their documents in the
// order of the files, so that every run over the same files is the same.
func (g *Ingester) readFiles(ctx context.Context, b *batcher, found iter.Seq[Found]) error {
	outer := ctx // the group's own context ends with the group
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(g.options.Workers)
	turn := make(chan struct{})
	close(turn)
	for f := range found {
		if ctx.Err() != nil {
			break
		}
		mine, next := turn, make(chan struct{})
		turn = next
		group.Go(func() error {
			defer close(next)
			if f.Fault != nil {
				if err := await(ctx, mine); err != nil {
					return err
				}
				b.recorder.fault(*f.Fault)
				return nil
			}
			return g.readFile(ctx, b, f.File, mine)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return outer.Err()
}

func await(ctx context.Context, turn <-chan struct{}) error {
	select {
	case <-turn:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An item is a document on its way to the index.
type item struct {
	path string
	hash string
	Extracted
}

// A batcher collects documents until it is worth writing them.
type batcher struct {
	ingester *Ingester
	recorder *recorder
	out      chan []item

	mu    sync.Mutex
	seen  map[[16]byte]struct{}
	batch []item
	bytes int
}

// add checks a document and queues it. Only an error of the run is returned.
func (b *batcher) add(ctx context.Context, path string, doc Extracted) error {
	if doc.Language == "" {
		doc.Language = DetectLanguage(doc.Text)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.check(doc); err != nil {
		b.recorder.fault(Fault{Path: path, Line: doc.Line, DocumentID: doc.ID, Reason: err.Error(), Err: err})
		return nil
	}
	b.batch = append(b.batch, item{path: path, hash: ContentHash(doc, b.ingester.splitter.Fingerprint()), Extracted: doc})
	b.bytes += len(doc.Text)
	if len(b.batch) >= b.ingester.options.BatchDocuments || b.bytes >= b.ingester.options.BatchBytes {
		return b.send(ctx)
	}
	return nil
}

func (b *batcher) check(doc Extracted) error {
	if err := doc.Validate(); err != nil {
		return err
	}
	if limit := b.ingester.options.MaxDocumentBytes; int64(len(doc.Text)) > limit {
		return fmt.Errorf("%w: %d bytes of text, at most %d are allowed", ErrTooLarge, len(doc.Text), limit)
	}
	key := idKey(doc.ID)
	if _, ok := b.seen[key]; ok {
		return fmt.Errorf("%w: document %q was there before in this run; the first one is kept", ErrDuplicate, doc.ID)
	}
	b.seen[key] = struct{}{}
	return nil
}

func (b *batcher) flush(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.send(ctx)
}

func (b *batcher) send(ctx context.Context) error {
	if len(b.batch) == 0 {
		return nil
	}
	select {
	case b.out <- b.batch:
		b.batch, b.bytes = nil, 0
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
