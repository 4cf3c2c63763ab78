package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// A Pipeline retrieves, reads and answers. It is safe for concurrent use. See
// [Open].
type Pipeline struct {
	config  *Config
	logger  *slog.Logger
	backend retriever.Backend
	// observer is never nil.
	observer Observer
	cache    *cache
	// live are the limits in force; see [Pipeline.SetLimits].
	live atomic.Pointer[Limits]

	// pool holds the open indexes; nil until the back end is open.
	pool   *pool
	mu     sync.Mutex
	closed bool

	// vectors is nil without a vector ranker.
	vectors *vectorStage

	// slot holds the model; it is empty when the pipeline was opened without a
	// reader.
	slot modelSlot
	// using is held while a model is exchanged.
	using sync.Mutex
	// named are the models of the section `models`; they stay as they are.
	named map[string]*namedModel
	// selection is which bundle was opened first.
	selection selection
	// tokenizer counts tokens for splitting where there is no reader; it is
	// opened on first use.
	tokenizerOnce sync.Once
	tokenizer     models.Tokenizer
	tokenizerErr  error
	// bundleLanguages are those of the bundle that the tokenizer is from.
	bundleLanguages []string

	// jobs are the rebuilds in the background.
	jobs jobs

	// beside says that backend and pool are another pipeline's; see
	// [Pipeline.OpenBeside].
	beside bool

	closeOnce sync.Once
	closeErr  error

	store storeHandle
}

var (
	_ Service   = (*Pipeline)(nil)
	_ PathAdder = (*Pipeline)(nil)
)

// loadedModel is a bundle with everything that reading needs.
type loadedModel struct {
	bundle     *models.Bundle
	model      models.LanguageModel
	service    *infer.Service
	warm       atomic.Bool // it has been run
	reader     *reader.Reader
	relevance  models.RelevanceHead // nil if the bundle has none
	ref        ModelRef
	profile    Profile
	calibrated bool
	own        []Profile // those that the bundle brings
	// users are the requests that work with the model; see modelSlot.
	users sync.WaitGroup
	// from is where it was opened from.
	from selection
	// heads are those that reading does not need.
	heads openHeads
	since time.Time
	// notes are warnings that every result carries.
	notes []string
}

// An Option changes how [Open] opens.
type Option func(*openOptions)

type openOptions struct {
	withoutReader bool
	withoutRanker bool
	withoutModels bool
	logger        *slog.Logger
	observer      Observer
}

func newOpenOptions(options []Option) openOptions {
	opts := openOptions{logger: slog.New(slog.DiscardHandler), observer: silent{}}
	for _, option := range options {
		option(&opts)
	}
	return opts
}

// WithoutReader opens no language model: Search and indexing work, Ask gives
// ErrNoReader.
func WithoutReader() Option { return func(o *openOptions) { o.withoutReader = true } }

// WithoutRanker leaves the candidates in the order of retrieval, whatever the
// configuration says.
func WithoutRanker() Option { return func(o *openOptions) { o.withoutRanker = true } }

// WithLogger sets where the pipeline logs; the default is silence.
func WithLogger(logger *slog.Logger) Option { return func(o *openOptions) { o.logger = logger } }

// Open opens the back end and the language model that the configuration names.
// The data directory is made if it is missing. Errors are those of the parts:
// [ErrInvalidConfig], [models.ErrRuntimeMissing] (the message says what to run
// or which path to set), [models.ErrInvalidBundle]. On an error nothing stays
// open.
func Open(ctx context.Context, config *Config, options ...Option) (*Pipeline, error) {
	opts := newOpenOptions(options)
	if err := config.Validate(); err != nil {
		return nil, configError("the given configuration", err)
	}
	if opts.withoutRanker {
		unranked := *config
		unranked.Ranker.Type = RankerNone
		config = &unranked
	}
	if !config.pinned {
		if err := config.readProfiles(); err != nil {
			return nil, err
		}
	}
	if err := makeData(config.Data); err != nil {
		return nil, err
	}
	selected, choice, stale, err := config.selected()
	if err != nil {
		return nil, err
	}
	p := &Pipeline{config: config, logger: opts.logger, observer: opts.observer, cache: newCache(int64(config.Limits.CacheBytes)), selection: selected}
	if stale {
		opts.logger.WarnContext(ctx, "reader.bundle was changed after `needle models use` had chosen another bundle, so the configuration counts",
			"reader.bundle", config.Reader.Bundle, "chosen", choice.Bundle)
	}
	p.live.Store(&config.Limits)
	group, opening := errgroup.WithContext(ctx)
	if !opts.withoutReader {
		group.Go(func() error {
			m, err := openModel(opening, config, p.selection, nil, opts)
			if err != nil {
				return err
			}
			return p.slot.swap(m)
		})
	}
	group.Go(func() (err error) {
		if p.backend, err = config.Retriever.Options.Open(opening, config.Data); err != nil {
			return err
		}
		p.pool = newPool(p.backend, p.cache, config.Limits.OpenIndexes, p.declareConfigured)
		// The configured index is opened at once, beside the model; that it is
		// missing is an error only for those who use it.
		_, err = p.index(opening, "")
		if errors.Is(err, retriever.ErrIndexNotFound) {
			return nil
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if !opts.withoutReader && !opts.withoutModels {
		if err := p.openNamed(ctx, opts); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	if err := p.openVectors(ctx, !opts.withoutReader); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func makeData(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("pipeline: data directory: %w", err)
	}
	return nil
}

// openModel opens tokenizer and graph side by side: each takes a noticeable
// part of the time to the first answer. The model goes behind the gate of
// another, if one is given, so that both share the cores.
func openModel(ctx context.Context, config *Config, from selection, beside *loadedModel, opts openOptions) (*loadedModel, error) {
	bundle, err := from.open(config.registry)
	if err != nil {
		if !from.chosen {
			err = fmt.Errorf("reader.bundle: %w", err)
		}
		return nil, err
	}
	own, err := bundleProfiles(bundle)
	if err != nil {
		return nil, err
	}
	m := &loadedModel{bundle: bundle, from: from, since: time.Now(), own: own}
	var tokenizer models.Tokenizer
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		tokenizer, err = config.registry.OpenTokenizer(bundle)
		return err
	})
	group.Go(func() (err error) {
		m.model, err = config.registry.OpenModel(groupCtx, bundle, ModelOptions{
			Precision: from.precision,
			Device:    config.Reader.Device,
			Fallback:  config.Reader.DeviceFallback,
			Library:   config.Runtime.Library,
			Logger:    opts.logger,
		})
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, m.close())
	}
	err = CheckVocabulary(ctx, bundle, tokenizer, m.model)
	// The bundles that are known by name were run at every length before.
	if _, known := config.registry.bundles[from.bundle]; err == nil && !known {
		err = CheckLength(ctx, bundle, m.model, max(lengthChecked, config.Reader.MaxSeqLength))
	}
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	if err := m.assemble(config, opts, tokenizer, beside); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *loadedModel) assemble(config *Config, opts openOptions, tokenizer models.Tokenizer, beside *loadedModel) error {
	info := m.model.Info()
	head, err := config.registry.openHead(m.bundle, models.HeadSpan, info)
	if err != nil {
		return err
	}
	span, ok := head.(models.SpanHead)
	if !ok {
		return fmt.Errorf("pipeline: the head registered as %q predicts no spans", models.HeadSpan)
	}
	if _, ok := m.bundle.Head(models.HeadRelevance); ok {
		if m.relevance, err = config.registry.openRelevance(m.bundle, info); err != nil {
			return err
		}
	} else if config.Ranker.Type.has(RankerRelevance) {
		return fmt.Errorf("%w: %q has no %s head, which ranker.type: %s needs", models.ErrInvalidBundle, m.bundle.Manifest.Name, models.HeadRelevance, config.Ranker.Type)
	}
	// Heads that only Predict uses are opened too, so that what is wrong with
	// them is seen now.
	for _, kind := range headKinds(m.bundle) {
		if _, registered := config.registry.heads[kind]; !registered {
			continue
		}
		if _, err := m.heads.open(config.registry, m.bundle, kind, info); err != nil {
			return err
		}
	}
	// The service owns the model from here on.
	if beside != nil {
		m.service, err = beside.service.Share(m.model)
	} else {
		m.service, err = infer.New(m.model, observeGate(inferConfig(config, info.Device), opts.observer))
	}
	if err != nil {
		return err
	}
	if m.reader, err = reader.New(tokenizer, m.service, span, m.relevance, config.Reader.Config); err != nil {
		return err
	}
	if info.Device != config.Reader.Device {
		m.notes = append(m.notes, onAnotherDevice(config.Reader.Device, info.Device))
	}
	m.ref = ModelRef{Name: info.Name, Hash: info.Hash, Precision: info.Precision}
	m.profile, m.calibrated = config.profileFor(m.bundle.Hash, config.Retriever.Type, RankerNone, "", m.own)
	return nil
}

// gpuBatchTokens is how many tokens one call on a GPU may have; on a CPU every
// window is a call of its own, because padding costs more than it saves.
const gpuBatchTokens = 16384

func inferConfig(config *Config, device string) infer.Config {
	c := infer.Config{Workers: config.Reader.Workers, Queue: config.Limits.Queue, MaxWait: config.Limits.MaxWait}
	if device != "cpu" {
		c.BatchTokens = gpuBatchTokens
		c.Workers = max(c.Workers, 1)
	}
	return c
}

func (m *loadedModel) close() error {
	switch {
	case m.service != nil:
		return m.service.Close() // and the model with it
	case m.model != nil:
		return m.model.Close()
	}
	return nil
}

// Config returns the configuration that the pipeline was opened with. It must
// not be changed.
func (p *Pipeline) Config() *Config { return p.config }

// Model names the bundle that answers; it is zero without a reader.
func (p *Pipeline) Model() ModelRef {
	if m := p.slot.peek(); m != nil {
		return m.ref
	}
	return ModelRef{}
}

// Ready reports why questions cannot be answered at full speed: the pipeline
// is closed, has no reader, the server that keeps the indexes is away
// ([retriever.ErrUnavailable]), or the model cannot be run. It reads a short text;
// the first call also runs texts of several lengths, so that no question pays for
// first times.
func (p *Pipeline) Ready(ctx context.Context) error {
	m, release, err := p.slot.lease()
	if err != nil {
		return err
	}
	defer release()
	if remote, ok := p.backend.(retriever.Remote); ok {
		if err := remote.Reach(ctx); err != nil {
			return err
		}
	}
	if m.warm.Load() && m.service.Stats().Requests > 0 {
		// It has been run and has work: a server under load is ready, and must
		// not be taken for dead because a check waits behind the others.
		return nil
	}
	if !m.warm.Load() {
		if err := m.service.Warm(ctx); err != nil {
			return err
		}
	}
	_, err = m.reader.Read(ctx, "ready?", []retriever.Passage{{DocumentID: "ready", Text: "Yes, ready.", End: 11}}, reader.Options{})
	m.warm.Store(err == nil)
	return err
}

// Close waits for running requests to release what they use and closes
// everything. Closing twice is allowed.
func (p *Pipeline) Close() error {
	p.closeOnce.Do(func() {
		p.jobs.stop()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		// First, because it works on the indexes and with the model.
		faults := []error{p.vectors.close(), p.closeNamed(), p.slot.close()}
		if p.pool != nil && !p.beside {
			faults = append(faults, p.pool.close())
		}
		if p.backend != nil && !p.beside {
			faults = append(faults, p.backend.Close())
		}
		faults = append(faults, p.store.close())
		p.closeErr = errors.Join(faults...)
	})
	return p.closeErr
}

// withTimeout applies limits.timeout.
func (p *Pipeline) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.limits().Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, p.limits().Timeout,
		fmt.Errorf("%w: limits.timeout of %v passed", context.DeadlineExceeded, p.limits().Timeout))
}

// milliseconds is how timings are reported.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
