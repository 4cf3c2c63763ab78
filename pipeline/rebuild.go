package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

// ErrRebuilding says that an index is being rebuilt already.
var ErrRebuilding = errors.New("the index is being rebuilt already")

// RebuildOptions drive [Pipeline.Rebuild].
type RebuildOptions struct {
	// Split cuts the documents into passages anew, by the configuration's
	// section split. Without it the stored passages are kept.
	Split bool
	// Progress is told how many documents are through and how many there are; it
	// may be nil.
	Progress func(done, total uint64)
}

// A RebuildReport says what a rebuild did.
type RebuildReport struct {
	Index string `json:"index"`
	// Documents is how many documents the index has now, Copied how many were
	// written anew, Kept how many an interrupted rebuild had written before.
	Documents uint64 `json:"documents"`
	Copied    uint64 `json:"copied"`
	Kept      uint64 `json:"kept"`
	// Resumed says that an interrupted rebuild went on.
	Resumed bool `json:"resumed"`
}

// Rebuild makes an index anew from its documents, beside the old one, with
// the settings of the configuration, and takes its place at once when all
// documents are in. Until then the old one answers, and takes writes, which the
// new one follows. What was done when a rebuild is interrupted is used by the
// next one. Only this process may write to the index meanwhile.
func (p *Pipeline) Rebuild(ctx context.Context, index string, options RebuildOptions) (RebuildReport, error) {
	target, err := p.index(ctx, index)
	if err != nil {
		return RebuildReport{}, err
	}
	swapper, ok := p.backend.(retriever.Swapper)
	if !ok {
		return RebuildReport{}, p.unable("rebuilt")
	}
	gate := p.pool.gate(target.name)
	if !gate.watch() {
		return RebuildReport{}, fmt.Errorf("%w: %q", ErrRebuilding, target.name)
	}
	defer gate.unwatch()
	b := &rebuild{
		pipeline: p, from: target, gate: gate, options: options,
		report: RebuildReport{Index: target.name}, standIn: retriever.StandIn(target.name, retriever.Rebuilding),
	}
	if options.Split {
		if b.splitter, err = p.splitter(); err != nil {
			return RebuildReport{}, err
		}
	}
	if err := b.run(ctx, swapper); err != nil {
		return RebuildReport{}, fmt.Errorf("rebuild index %q: %w", target.name, err)
	}
	return b.report, nil
}

// rebuild is one run of Rebuild.
type rebuild struct {
	pipeline *Pipeline
	from     *handle
	to       retriever.Index
	standIn  string
	gate     *writeGate
	options  RebuildOptions
	splitter *ingest.Splitter // nil to keep the passages
	report   RebuildReport
}

// catchUpRounds is how often a rebuild follows the writers before it makes them
// wait; settledChanges is how few changes are done while they wait.
const (
	catchUpRounds  = 20
	settledChanges = 200
)

func (b *rebuild) run(ctx context.Context, swapper retriever.Swapper) (err error) {
	if err := b.open(ctx); err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			// What is written stays for the next try.
			err = errors.Join(err, b.to.Close())
		}
	}()
	if err := b.copyAll(ctx); err != nil {
		return err
	}
	for range catchUpRounds {
		changed := b.gate.drain()
		if err := b.copyThese(ctx, changed); err != nil {
			return err
		}
		if len(changed) <= settledChanges {
			break
		}
	}
	closed = true
	retire, err := b.finish(ctx, swapper)
	if err != nil {
		return err
	}
	b.pipeline.discard(ctx, b.from.name, b.standIn, retire)
	return nil
}

// finish follows the last writers and puts the new index, which it closes, in
// place. Nobody writes meanwhile.
func (b *rebuild) finish(ctx context.Context, swapper retriever.Swapper) (retire func() error, err error) {
	b.gate.writers.Lock()
	defer b.gate.writers.Unlock()
	if err := errors.Join(b.lastChanges(ctx), b.to.Close()); err != nil {
		return nil, err
	}
	return b.pipeline.switchOver(ctx, swapper, b.from.name, b.standIn)
}

func (b *rebuild) lastChanges(ctx context.Context) error {
	if err := b.copyThese(ctx, b.gate.drain()); err != nil {
		return err
	}
	old, err := b.from.Stats(ctx)
	if err != nil {
		return err
	}
	made, err := b.to.Stats(ctx)
	if err != nil {
		return err
	}
	if old.Documents != made.Documents {
		return fmt.Errorf("%w: the new index has %d documents, the old one %d: another process has written meanwhile; run the rebuild again", retriever.ErrLocked, made.Documents, old.Documents)
	}
	b.report.Documents = made.Documents
	return nil
}

// open opens what an interrupted rebuild left, or makes a new index. One that was
// made for another configuration is dropped.
func (b *rebuild) open(ctx context.Context) error {
	backend := b.pipeline.backend
	old, err := b.from.Stats(ctx)
	if err != nil {
		return err
	}
	b.to, err = backend.Open(ctx, b.standIn)
	if err == nil {
		stats, statsErr := b.to.Stats(ctx)
		if statsErr == nil && len(stats.Outdated) == 0 {
			b.report.Resumed = true
			return declare(ctx, b.to, old.Fields)
		}
		if err := b.to.Close(); err != nil {
			return err
		}
	}
	if err == nil || errors.Is(err, retriever.ErrCorrupt) {
		if err := backend.Drop(ctx, b.standIn); err != nil {
			return err
		}
		err = retriever.ErrIndexNotFound
	}
	if !errors.Is(err, retriever.ErrIndexNotFound) {
		return err
	}
	if b.to, err = backend.Create(ctx, b.standIn); err != nil {
		return err
	}
	if err := declare(ctx, b.to, old.Fields); err != nil {
		return errors.Join(err, b.to.Close())
	}
	return nil
}

// copyAll copies what the new index lacks and deletes what the old one lacks.
func (b *rebuild) copyAll(ctx context.Context) error {
	return b.from.use(ctx, func(x retriever.Index) (err error) {
		snapshotter, ok := x.(retriever.Snapshotter)
		if !ok {
			return b.pipeline.unable("rebuilt")
		}
		snapshot, err := snapshotter.Snapshot(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, snapshot.Close()) }()
		// Both go through the ids in order.
		known := &infoCursor{index: b.to}
		total, done := snapshot.Stats().Documents, uint64(0)
		to := &copier{to: b.to}
		for e, err := range snapshot.Entries(ctx) {
			if err != nil {
				return err
			}
			gone, info, err := known.upTo(ctx, e.Document.ID)
			if err != nil {
				return err
			}
			if err := b.remove(ctx, gone); err != nil {
				return err
			}
			if e, err = b.convert(e); err != nil {
				return err
			}
			if info != nil && info.ContentHash == e.ContentHash && e.ContentHash != "" {
				b.report.Kept++
			} else {
				b.report.Copied++
				if err := to.add(ctx, e); err != nil {
					return err
				}
			}
			if done++; b.options.Progress != nil {
				b.options.Progress(done, total)
			}
		}
		if err := to.flush(ctx); err != nil {
			return err
		}
		gone, _, err := known.upTo(ctx, "")
		if err != nil {
			return err
		}
		return b.remove(ctx, gone)
	})
}

func (b *rebuild) remove(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := b.to.Delete(ctx, ids)
	return err
}

// copyThese brings single documents up to date.
func (b *rebuild) copyThese(ctx context.Context, ids []string) error {
	slices.Sort(ids)
	return b.from.use(ctx, func(x retriever.Index) error {
		for part := range slices.Chunk(ids, copyDocuments) {
			var gone []string
			to := &copier{to: b.to}
			for _, id := range part {
				e, err := entryOf(ctx, x, id)
				if errors.Is(err, retriever.ErrDocumentNotFound) {
					gone = append(gone, id)
					continue
				}
				if err == nil {
					e, err = b.convert(e)
				}
				if err == nil {
					err = to.add(ctx, e)
				}
				if err != nil {
					return err
				}
			}
			if err := to.flush(ctx); err != nil {
				return err
			}
			if err := b.remove(ctx, gone); err != nil {
				return err
			}
		}
		return nil
	})
}

// entryOf returns a stored document with its passages.
func entryOf(ctx context.Context, index retriever.Index, id string) (retriever.Entry, error) {
	reader, ok := index.(retriever.EntryReader)
	if !ok {
		return retriever.Entry{}, errors.New("the index cannot give back the passages of a document")
	}
	return reader.Entry(ctx, id)
}

// convert splits a document anew, if that is wanted.
func (b *rebuild) convert(e retriever.Entry) (retriever.Entry, error) {
	if b.splitter == nil {
		return e, nil
	}
	document := ingest.Extracted{Document: e.Document}
	document.Sections, document.Pages = structureOf(e.Passages)
	hash := ingest.ContentHash(document, b.splitter.Fingerprint())
	passages := b.splitter.Split(document)
	if len(passages) == 0 {
		return e, fmt.Errorf("%w: document %q has no passages", retriever.ErrInvalidDocument, e.Document.ID)
	}
	return retriever.Entry{Document: e.Document, Passages: passages, ContentHash: hash}, nil
}

// structureOf finds the sections and pages of a document in its passages: where
// the headings or the page of one differ from those of the one before.
func structureOf(passages []retriever.Passage) (sections []retriever.Section, pages []int) {
	var headings []string
	for _, p := range passages {
		if !slices.Equal(p.Headings, headings) {
			headings = p.Headings
			sections = append(sections, retriever.Section{Start: p.Start, Headings: headings})
		}
		for len(pages) < p.Page {
			start := p.Start
			if len(pages) == 0 {
				start = 0 // the first page starts with the text
			}
			pages = append(pages, start)
		}
	}
	return sections, pages
}

// infoCursor goes through the documents of an index in order of id.
type infoCursor struct {
	index retriever.Index
	page  []retriever.DocumentInfo
	after string
	end   bool
}

// upTo returns the ids before an id and what is known of the document itself, nil
// if it is not there. An empty id stands for the end.
func (c *infoCursor) upTo(ctx context.Context, id string) (before []string, info *retriever.DocumentInfo, err error) {
	for {
		if len(c.page) == 0 {
			if c.end {
				return before, nil, nil
			}
			if c.page, err = c.index.List(ctx, c.after, MaxListLimit); err != nil {
				return nil, nil, err
			}
			if c.end = len(c.page) < MaxListLimit; len(c.page) == 0 {
				return before, nil, nil
			}
			c.after = c.page[len(c.page)-1].ID
		}
		first := c.page[0]
		switch {
		case id != "" && first.ID > id:
			return before, nil, nil
		case id != "" && first.ID == id:
			c.page = c.page[1:]
			return before, &first, nil
		}
		before = append(before, first.ID)
		c.page = c.page[1:]
	}
}
