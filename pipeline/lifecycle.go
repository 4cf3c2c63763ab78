package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/backup"
)

// ErrInvalidBackup says that a backup is damaged or of a newer version.
var ErrInvalidBackup = errors.New("the backup cannot be used")

// A Keeper looks after indexes. A [Pipeline] is one, and so is the client of a
// server. Every method is safe for concurrent use. An empty index name means the
// configured index.
type Keeper interface {
	// Verify reads everything that an index stores and reports what is wrong.
	Verify(ctx context.Context, index string) error
	// Compact gives back the space of what was deleted and replaced.
	Compact(ctx context.Context, index string) (CompactReport, error)
	// Backup writes an index as it is now; the format is that of package backup.
	Backup(ctx context.Context, index string, w io.Writer) (backup.Summary, error)
	// Restore makes an index of a backup.
	Restore(ctx context.Context, index string, r io.Reader, options RestoreOptions) (RestoreReport, error)
	// SwapIndexes exchanges the names of two indexes.
	SwapIndexes(ctx context.Context, index, with string) error
	// StartRebuild begins to make an index anew from its documents, or goes on
	// where a rebuild was interrupted. It does not wait for the end; the
	// context ends with the call. Options.Progress is not used.
	StartRebuild(ctx context.Context, index string, options RebuildOptions) error
	// RebuildStatus tells how far it is.
	RebuildStatus(ctx context.Context, index string) (RebuildStatus, error)
	// DeclareFields gives metadata fields their types.
	DeclareFields(ctx context.Context, index string, fields map[string]retriever.FieldType) error
}

var _ Keeper = (*Pipeline)(nil)

// A CompactReport says what a compaction gave back. Sizes are those on disk in
// bytes, 0 where the retriever cannot tell.
type CompactReport struct {
	Index  string `json:"index"`
	Before int64  `json:"bytes_before"`
	After  int64  `json:"bytes_after"`
}

// RestoreOptions drive [Pipeline.Restore].
type RestoreOptions struct {
	// Replace allows to replace an index of the same name.
	Replace bool
}

// A RestoreReport says what was restored.
type RestoreReport struct {
	Index string `json:"index"`
	// From is the index that the backup was made of, at Created.
	From      string    `json:"from"`
	Created   time.Time `json:"created,omitzero"`
	Documents uint64    `json:"documents"`
	Passages  uint64    `json:"passages"`
	// Replaced says that there was an index of the name before.
	Replaced bool `json:"replaced"`
}

// Compact implements [Keeper].
func (p *Pipeline) Compact(ctx context.Context, index string) (CompactReport, error) {
	target, err := p.index(ctx, index)
	if err != nil {
		return CompactReport{}, err
	}
	report := CompactReport{Index: target.name}
	err = target.use(ctx, func(x retriever.Index) error {
		compacter, ok := x.(retriever.Compacter)
		if !ok {
			return p.unable("compacted")
		}
		before, err := x.Stats(ctx)
		if err != nil {
			return err
		}
		if err := compacter.Compact(ctx); err != nil {
			return err
		}
		after, err := x.Stats(ctx)
		report.Before, report.After = before.Bytes, after.Bytes
		return err
	})
	return report, err
}

// Backup implements [Keeper]. Searches and writes go on; what is written after
// the call began is not in the backup. The record of the index's sources is.
func (p *Pipeline) Backup(ctx context.Context, index string, w io.Writer) (summary backup.Summary, err error) {
	target, err := p.index(ctx, index)
	if err != nil {
		return summary, err
	}
	header := backup.Header{Created: time.Now().UTC().Truncate(time.Second)}
	sources, err := p.readSources(ctx, target.name)
	if err == nil {
		header.Sources, err = encodeSources(sources)
	}
	if err != nil {
		return summary, err
	}
	err = target.use(ctx, func(x retriever.Index) (err error) {
		snapshotter, ok := x.(retriever.Snapshotter)
		if !ok {
			return p.unable("backed up")
		}
		snapshot, err := snapshotter.Snapshot(ctx)
		if err != nil {
			return err
		}
		summary, err = backup.Write(ctx, w, header, snapshot)
		return errors.Join(err, snapshot.Close())
	})
	return summary, err
}

// A batch of a restore or rebuild holds at most so many documents and bytes of
// text.
const (
	copyDocuments = 512
	copyBytes     = 8 << 20
)

// copier writes entries in batches.
type copier struct {
	to      retriever.Index
	entries []retriever.Entry
	bytes   int
}

func (c *copier) add(ctx context.Context, e retriever.Entry) error {
	c.entries = append(c.entries, e)
	c.bytes += len(e.Document.Text)
	if len(c.entries) < copyDocuments && c.bytes < copyBytes {
		return nil
	}
	return c.flush(ctx)
}

func (c *copier) flush(ctx context.Context) error {
	if len(c.entries) == 0 {
		return nil
	}
	err := c.to.Upsert(ctx, c.entries)
	c.entries, c.bytes = c.entries[:0], 0
	return err
}

// Restore implements [Keeper]. The backup is read into an index beside, compared
// with its checksum and only then put in place, all at once: on an error what was
// there before is untouched. The errors are those of [backup.NewReader],
// [retriever.ErrIndexExists] without Replace, and those of writing. What is
// written to the old index meanwhile is lost with it.
func (p *Pipeline) Restore(ctx context.Context, index string, r io.Reader, options RestoreOptions) (RestoreReport, error) {
	name := cmp.Or(index, p.config.Index)
	if err := retriever.ValidIndexName(name); err != nil {
		return RestoreReport{}, err
	}
	swapper, ok := p.backend.(retriever.Swapper)
	if !ok {
		return RestoreReport{}, p.unable("restored")
	}
	from, err := backup.NewReader(r)
	if err != nil {
		return RestoreReport{}, fmt.Errorf("%w: %w", ErrInvalidBackup, err)
	}
	names, err := p.backend.Names(ctx)
	if err != nil {
		return RestoreReport{}, err
	}
	there := slices.Contains(names, name)
	if there && !options.Replace {
		return RestoreReport{}, fmt.Errorf("%w: %q; replace it, or restore under another name", retriever.ErrIndexExists, name)
	}
	standIn := retriever.StandIn(name, retriever.Restoring)
	if err := p.fill(ctx, standIn, from); err != nil {
		// The clean-up must happen although the context may have ended.
		if dropErr := p.backend.Drop(context.WithoutCancel(ctx), standIn); dropErr != nil && !errors.Is(dropErr, retriever.ErrIndexNotFound) && !errors.Is(dropErr, retriever.ErrLocked) {
			err = errors.Join(err, dropErr)
		}
		return RestoreReport{}, fmt.Errorf("restore index %q: %w", name, err)
	}
	if err := p.install(ctx, swapper, name, standIn); err != nil {
		return RestoreReport{}, fmt.Errorf("restore index %q: %w", name, err)
	}
	if err := p.restoreSources(ctx, name, from.Header().Sources); err != nil {
		return RestoreReport{}, err
	}
	return RestoreReport{
		Index: name, From: from.Header().Index.Name, Created: from.Header().Created, Replaced: there,
		Documents: from.Summary().Documents, Passages: from.Summary().Passages,
	}, nil
}

// fill makes an index of a backup and leaves it closed. What an interrupted
// restore left under the name is dropped.
func (p *Pipeline) fill(ctx context.Context, name string, from *backup.Reader) (err error) {
	if err := p.backend.Drop(ctx, name); err != nil && !errors.Is(err, retriever.ErrIndexNotFound) {
		return err
	}
	target, err := p.backend.Create(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := declare(ctx, target, from.Header().Index.Fields); err != nil {
		return err
	}
	to := &copier{to: target}
	for e, err := range from.Entries(ctx) {
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%w: %w", ErrInvalidBackup, err)
		}
		if err != nil {
			return err
		}
		if err := to.add(ctx, e); err != nil {
			return err
		}
	}
	if err := to.flush(ctx); err != nil {
		return err
	}
	stats, err := target.Stats(ctx)
	if err != nil {
		return err
	}
	if sum := from.Summary(); stats.Documents != sum.Documents || stats.Passages != sum.Passages {
		return fmt.Errorf("%w: of %d documents with %d passages, %d with %d arrived", retriever.ErrCorrupt, sum.Documents, sum.Passages, stats.Documents, stats.Passages)
	}
	return nil
}

func declare(ctx context.Context, index retriever.Index, fields map[string]retriever.FieldType) error {
	declarer, ok := index.(retriever.FieldDeclarer)
	if !ok || len(fields) == 0 {
		return nil
	}
	return declarer.DeclareFields(ctx, fields)
}

// install gives the index that is closed under the name of a stand-in its name,
// and drops the one that it replaces when its last reader has left.
func (p *Pipeline) install(ctx context.Context, swapper retriever.Swapper, name, standIn string) error {
	retire, err := p.switchOver(ctx, swapper, name, standIn)
	if err != nil {
		return err
	}
	p.discard(ctx, name, standIn, retire)
	return nil
}

// switchOver is the part of install from which on the new index serves. The
// function that it returns waits for the readers of the old one.
func (p *Pipeline) switchOver(ctx context.Context, swapper retriever.Swapper, name, standIn string) (retire func() error, err error) {
	free, err := p.pool.reserve(ctx, name, standIn)
	if err != nil {
		return nil, err
	}
	defer free()
	if err := swapper.Swap(ctx, name, standIn); err != nil {
		return nil, err
	}
	return p.pool.take(name), nil
}

// discard drops the index that was replaced. What cannot be dropped now goes with
// the next restore or rebuild, which is no reason to report a failure.
func (p *Pipeline) discard(ctx context.Context, name, standIn string, retire func() error) {
	err := retire()
	if err == nil {
		err = p.backend.Drop(context.WithoutCancel(ctx), standIn)
	}
	if err != nil && !errors.Is(err, retriever.ErrIndexNotFound) {
		p.logger.Warn("the replaced index could not be dropped", "index", name, "error", err)
	}
}

// SwapIndexes implements [Keeper]. Both are usable all the time; requests that
// run finish on the index on which they began. If there is no index of the first
// name, the second is renamed.
func (p *Pipeline) SwapIndexes(ctx context.Context, index, with string) error {
	index = cmp.Or(index, p.config.Index)
	swapper, ok := p.backend.(retriever.Swapper)
	if !ok {
		return p.unable("swapped")
	}
	for _, name := range [...]string{index, with} {
		if err := retriever.ValidIndexName(name); err != nil {
			return err
		}
	}
	if index == with {
		return fmt.Errorf("%w: with: %q is the index itself", ErrInvalidRequest, with)
	}
	// Writers wait, so that none writes to what it did not mean. The gates are
	// passed in order of name, as by every other call that passes two.
	for _, name := range slices.Sorted(slices.Values([]string{index, with})) {
		gate := p.pool.gate(name)
		gate.writers.Lock()
		defer gate.writers.Unlock()
	}
	free, err := p.pool.reserve(ctx, index, with)
	if err != nil {
		return err
	}
	defer free()
	if err := swapper.Swap(ctx, index, with); err != nil {
		return err
	}
	p.pool.exchange(index, with)
	return p.swapSources(ctx, index, with)
}

// DeclareFields implements [Keeper].
func (p *Pipeline) DeclareFields(ctx context.Context, index string, fields map[string]retriever.FieldType) error {
	target, err := p.index(ctx, index)
	if err != nil {
		return err
	}
	return target.use(ctx, func(x retriever.Index) error {
		if _, ok := x.(retriever.FieldDeclarer); !ok {
			return p.unable("given declared fields")
		}
		return declare(ctx, x, fields)
	})
}
