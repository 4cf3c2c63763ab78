package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrNoCandidate says that a configuration cannot answer beside a pipeline.
var ErrNoCandidate = errors.New("the configuration cannot answer beside this one")

// Overlay returns the configuration with the keys of a YAML text over it; the
// name appears in errors.
func (c *Config) Overlay(name string, text []byte) (*Config, error) {
	base, err := c.YAML()
	if err != nil {
		return nil, err
	}
	over := DefaultConfig(c.registry)
	if err := over.decode(base); err != nil {
		return nil, configError("the configuration as YAML", err)
	}
	if err := over.decode(text); err != nil {
		return nil, configError(name, err)
	}
	if err := over.Validate(); err != nil {
		return nil, configError(name, err)
	}
	return over, nil
}

// OpenBeside opens another pipeline over the indexes of this one, which must
// stay open longer: with another bundle, ranker or profile, or another number
// of candidates. Its model waits at the same gate, so the two never compute
// more at once than one does. It must not be used to write. Close closes what
// is its own. Other settings of the retriever need indexes of their own, so
// they, and data, must be the same; otherwise the error wraps [ErrNoCandidate].
func (p *Pipeline) OpenBeside(ctx context.Context, config *Config, options ...Option) (*Pipeline, error) {
	for _, key := range changedKeys(p.config, config) {
		if key == "data" || strings.HasPrefix(key, "retriever.") && key != "retriever.top_k" || strings.HasPrefix(key, "split.") {
			return nil, fmt.Errorf("%w: %s differs, which needs an index of its own", ErrNoCandidate, key)
		}
	}
	beside := p.slot.peek()
	if beside == nil {
		return nil, ErrNoReader
	}
	opts := newOpenOptions(options)
	if !config.pinned {
		if err := config.readProfiles(); err != nil {
			return nil, err
		}
	}
	q := &Pipeline{
		config: config, logger: opts.logger, observer: opts.observer, backend: p.backend, pool: p.pool, beside: true,
		selection: selection{bundle: config.Reader.Bundle, precision: config.Reader.Precision},
	}
	q.live.Store(&config.Limits)
	m, err := openModel(ctx, config, q.selection, beside, opts)
	if err != nil {
		return nil, err
	}
	if err := q.slot.swap(m); err != nil {
		return nil, errors.Join(err, m.close())
	}
	if err := q.openVectors(ctx, false); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	q.logger.InfoContext(ctx, "a candidate answers beside", slog.String("model", m.ref.Name), slog.String("hash", m.ref.Hash))
	return q, nil
}

// Idle reports whether no request waits for the model or runs on it.
func (p *Pipeline) Idle() bool {
	m := p.slot.peek()
	return m != nil && m.service.Stats().Requests == 0
}
