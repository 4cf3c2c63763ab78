package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// Sources reads what syncs have recorded of an index's sources; none if it was
// never synced. The record lies in the data directory, or beside the indexes on a
// server that others use too.
func (c *Config) Sources(ctx context.Context, index string) (sources Sources, err error) {
	if !c.Shared() {
		return ReadSources(c.Data, index)
	}
	opened, err := c.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	return storedSources(ctx, opened, index)
}

// storedSources reads the record that lies in a store.
func storedSources(ctx context.Context, s *store.Store, index string) (Sources, error) {
	if err := retriever.ValidIndexName(index); err != nil {
		return nil, err
	}
	text, err := s.Sources(ctx, index)
	if err != nil || text == nil {
		return nil, err
	}
	return decodeSources(text)
}

// decodeSources is the inverse of encodeSources.
func decodeSources(text json.RawMessage) (Sources, error) {
	var file sourcesFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("sources: %w", err)
	}
	if file.Format != sourcesFormat {
		return nil, fmt.Errorf("sources: %w: %d, want %d", retriever.ErrVersion, file.Format, sourcesFormat)
	}
	return file.Sources, nil
}

// encodeSources returns the record as it is stored and as backups hold it, nil
// for none.
func encodeSources(s Sources) (json.RawMessage, error) {
	if s == nil {
		return nil, nil
	}
	return json.Marshal(sourcesFile{Format: sourcesFormat, Sources: s})
}

func (p *Pipeline) readSources(ctx context.Context, index string) (sources Sources, err error) {
	if !p.config.Shared() {
		return ReadSources(p.config.Data, index)
	}
	err = p.withStore(ctx, func(s *store.Store) error {
		sources, err = storedSources(ctx, s, index)
		return err
	})
	return sources, err
}

// writeSources replaces the record.
func (p *Pipeline) writeSources(ctx context.Context, index string, sources Sources) error {
	if !p.config.Shared() {
		return sources.write(p.config.Data, index)
	}
	text, err := json.Marshal(sourcesFile{Format: sourcesFormat, Sources: sources})
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s *store.Store) error { return s.PutSources(ctx, index, text) })
}

// restoreSources puts back what a backup holds, which may be nothing.
func (p *Pipeline) restoreSources(ctx context.Context, index string, text json.RawMessage) error {
	if text == nil {
		if p.config.Shared() {
			return p.writeSources(ctx, index, nil)
		}
		return removeSources(p.config.Data, index)
	}
	sources, err := decodeSources(text)
	if err != nil {
		return err
	}
	return p.writeSources(ctx, index, sources)
}

// swapSources lets the records of two indexes follow their names. A crash in
// between leaves a record that the next sync puts right.
func (p *Pipeline) swapSources(ctx context.Context, a, b string) error {
	if !p.config.Shared() {
		return swapSources(p.config.Data, a, b)
	}
	x, err := p.readSources(ctx, a)
	if err != nil {
		return err
	}
	y, err := p.readSources(ctx, b)
	if err != nil {
		return err
	}
	return errors.Join(p.writeSources(ctx, a, y), p.writeSources(ctx, b, x))
}

// sourcesPatience bounds how long [Pipeline.Sources] waits for a store.
const sourcesPatience = 10 * time.Second

// Sources says how fresh the sources of an index are, which syncs record; an
// empty name means the configured index.
func (p *Pipeline) Sources(index string) (Sources, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sourcesPatience)
	defer cancel()
	return p.readSources(ctx, cmp.Or(index, p.config.Index))
}
