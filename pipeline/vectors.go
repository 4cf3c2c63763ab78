package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/ranker"
	"github.com/needle-search/needle/retriever"
)

// vectorStage makes and keeps the vectors that the vector ranker needs. A nil
// stage makes none.
type vectorStage struct {
	pipeline *Pipeline
	bundle   *models.Bundle
	// model is the hash under which the vectors are stored.
	model string

	mu       sync.Mutex
	embedder *ranker.Embedder // nil until it is needed
	service  *infer.Service
	closed   bool

	// questions counts the requests that run; making vectors waits for them.
	questions atomic.Int64
	// complete remembers at which generation an index was found complete.
	complete sync.Map // name -> completeAt

	stop   context.CancelFunc
	worker sync.WaitGroup
}

// openVectors makes the stage that the configuration asks for. It reads the
// manifest of the bundle only: the model is opened when it is first needed.
func (p *Pipeline) openVectors(ctx context.Context, background bool) error {
	if !p.config.Ranker.Type.has(RankerVector) {
		return nil
	}
	bundle, err := p.config.registry.OpenBundle(p.config.Ranker.Bundle)
	if err != nil {
		return fmt.Errorf("ranker.bundle: %w", err)
	}
	if _, ok := bundle.Head(models.HeadEmbedding); !ok {
		return fmt.Errorf("ranker.bundle: %w: %q has no %s head, which the vector ranker needs", models.ErrInvalidBundle, p.config.Ranker.Bundle, models.HeadEmbedding)
	}
	s := &vectorStage{pipeline: p, bundle: bundle, model: bundle.Hash}
	p.vectors = s
	if background {
		// The work goes on when the call that opened the pipeline has returned.
		ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
		s.worker.Go(func() { s.work(ctx) })
	}
	return nil
}

// close ends the background work and closes the model.
func (s *vectorStage) close() error {
	if s == nil {
		return nil
	}
	if s.stop != nil {
		s.stop()
	}
	s.worker.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.service == nil {
		return nil
	}
	return s.service.Close()
}

// embedding returns what makes vectors, and opens it on first use. It shares the
// gate of the reader's model, if there is one.
func (s *vectorStage) embedding(ctx context.Context) (*ranker.Embedder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.embedder != nil {
		return s.embedder, nil
	}
	p := s.pipeline
	var tokenizer models.Tokenizer
	var err error
	reading := p.slot.peek()
	if reading != nil && tokenizerHash(reading.bundle) == tokenizerHash(s.bundle) {
		tokenizer = reading.reader.Tokenizer()
	} else if tokenizer, err = p.config.registry.OpenTokenizer(s.bundle); err != nil {
		return nil, err
	}
	model, err := p.config.registry.OpenModel(ctx, s.bundle, ModelOptions{
		Precision: "auto", Device: p.config.Reader.Device, Fallback: p.config.Reader.DeviceFallback, Library: p.config.Runtime.Library, Logger: p.logger,
	})
	if err != nil {
		return nil, err
	}
	head, err := p.config.registry.openHead(s.bundle, models.HeadEmbedding, model.Info())
	if err != nil {
		return nil, errors.Join(err, model.Close())
	}
	embedding, ok := head.(models.EmbeddingHead)
	if !ok {
		return nil, errors.Join(fmt.Errorf("pipeline: the head registered as %q gives no vectors", models.HeadEmbedding), model.Close())
	}
	var service *infer.Service
	if reading != nil {
		service, err = reading.service.Share(model)
	}
	if service == nil {
		// Without a reader, or when it is just being replaced.
		service, err = infer.New(model, inferConfig(p.config, model.Info().Device))
	}
	if err != nil {
		return nil, errors.Join(err, model.Close())
	}
	s.service, s.embedder = service, ranker.NewEmbedder(tokenizer, service, embedding)
	return s.embedder, nil
}

// tokenizerHash tells whether two bundles have the same tokenizer.
func tokenizerHash(b *models.Bundle) string { return b.Manifest.Files[b.Manifest.Tokenizer].SHA256 }

// asking marks a request as running until the returned function is called.
func (s *vectorStage) asking() (done func()) {
	if s == nil {
		return func() {}
	}
	s.questions.Add(1)
	return func() { s.questions.Add(-1) }
}

// The pace of the background work.
const (
	// vectorDelay is how long a pipeline is left alone after it was opened: a
	// command that asks one question is through by then.
	vectorDelay = time.Second
	// vectorPoll is how often indexes are looked at for changes.
	vectorPoll = 500 * time.Millisecond
	// vectorRetry is how long to wait after a failure.
	vectorRetry = 30 * time.Second
	// vectorPatience is how long making vectors waits for requests to end, and
	// vectorStep how often it looks.
	vectorPatience = 500 * time.Millisecond
	vectorStep     = 5 * time.Millisecond
	// vectorBatch is how many passages are stored at once.
	vectorBatch = 64
)

// work keeps the open indexes complete until the context ends.
func (s *vectorStage) work(ctx context.Context) {
	wait := vectorDelay
	for sleep(ctx, wait) {
		wait = vectorPoll
		for _, name := range s.pipeline.pool.names() {
			err := s.fill(ctx, name, true, nil)
			if err == nil || ctx.Err() != nil || errors.Is(err, ErrNoVectors) || errors.Is(err, retriever.ErrIndexNotFound) || errors.Is(err, retriever.ErrClosed) {
				continue
			}
			s.pipeline.logger.WarnContext(ctx, "vectors could not be made, trying again later", "index", name, "error", err)
			wait = vectorRetry
		}
	}
}

// sleep waits, and returns false if the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// completeAt is the state in which an index was found complete.
type completeAt struct {
	index      retriever.Index
	generation uint64
}

// known reports whether an index was found complete and has not changed since.
func (s *vectorStage) known(name string, index retriever.Index) bool {
	at, ok := s.complete.Load(cmp.Or(name, s.pipeline.config.Index))
	return ok && at == completeAt{index, index.Generation()}
}

// fill makes the vectors that an index lacks. In the background it lets
// questions pass between passages. It may be interrupted at any time: what is
// done is stored. The index is let go after each step, so that whoever wants to
// drop or exchange it need not wait.
func (s *vectorStage) fill(ctx context.Context, name string, background bool, progress func(retriever.VectorCoverage)) error {
	name = cmp.Or(name, s.pipeline.config.Index)
	for more := true; more; {
		index, release, err := s.pipeline.lease(ctx, name)
		if err != nil {
			return err
		}
		more, err = s.fillStep(ctx, name, index, background, progress)
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *vectorStage) fillStep(ctx context.Context, name string, index retriever.Index, background bool, progress func(retriever.VectorCoverage)) (more bool, err error) {
	store, ok := index.(retriever.VectorStore)
	if !ok {
		return false, fmt.Errorf("%w: a %s index keeps none", ErrNoVectors, s.pipeline.config.Retriever.Type)
	}
	if background && s.known(name, index) {
		return false, nil
	}
	generation := index.Generation()
	missing, err := store.MissingVectors(ctx, s.model, vectorBatch)
	if err != nil {
		return false, err
	}
	if progress != nil {
		coverage, err := store.VectorCoverage(ctx, s.model)
		if err != nil {
			return false, err
		}
		progress(coverage)
	}
	if len(missing) > 0 {
		return true, s.embed(ctx, store, missing, background)
	}
	s.complete.Store(name, completeAt{index, generation})
	// Those of a model that was used before are of no more use.
	_, err = store.DropVectors(ctx, s.model)
	return false, err
}

// embed makes and stores the vectors of some passages.
func (s *vectorStage) embed(ctx context.Context, store retriever.VectorStore, passages []retriever.Hit, background bool) error {
	embedder, err := s.embedding(ctx)
	if err != nil {
		return err
	}
	// Nobody waits for a vector, and all of them have to be made.
	ctx = infer.Patient(infer.WithPriority(ctx, infer.Bulk))
	step := len(passages)
	if background {
		step = max(s.service.Stats().Workers, 1)
	}
	vectors := make([][]int8, 0, len(passages))
	for from := 0; from < len(passages); from += step {
		if background {
			s.yield(ctx)
		}
		part, err := embedder.Passages(ctx, passages[from:min(from+step, len(passages))])
		if err != nil {
			return err
		}
		vectors = append(vectors, part...)
	}
	return store.PutVectors(ctx, s.model, passages, vectors)
}

// yield waits until no request runs, but not for ever.
func (s *vectorStage) yield(ctx context.Context) {
	for begin := time.Now(); s.questions.Load() > 0 && time.Since(begin) < vectorPatience; {
		if !sleep(ctx, vectorStep) {
			return
		}
	}
}

// names returns the names of the open indexes that a user may name.
func (p *pool) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name := range p.open {
		if retriever.ValidIndexName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ErrNoVectors says that the configuration names no vector ranker, or that the
// retriever cannot keep vectors.
var ErrNoVectors = errors.New("there is nothing to make vectors for")

// FillVectors makes the vectors that an index lacks and returns when it is
// complete; progress, if it is not nil, is told how far it is. It may be
// interrupted at any time and goes on where it was. A pipeline that was opened
// with a reader does the same in the background. The errors are ErrNoVectors and
// those of the model and the index.
func (p *Pipeline) FillVectors(ctx context.Context, name string, progress func(retriever.VectorCoverage)) error {
	if p.vectors == nil {
		return fmt.Errorf("%w: ranker.type is %s", ErrNoVectors, p.config.Ranker.Type)
	}
	return p.vectors.fill(ctx, name, false, progress)
}

// VectorCoverage says how many passages of an index have the vectors that the
// configured ranker needs. It fails with ErrNoVectors if it needs none.
func (p *Pipeline) VectorCoverage(ctx context.Context, name string) (retriever.VectorCoverage, error) {
	if p.vectors == nil {
		return retriever.VectorCoverage{}, fmt.Errorf("%w: ranker.type is %s", ErrNoVectors, p.config.Ranker.Type)
	}
	index, release, err := p.lease(ctx, name)
	if err != nil {
		return retriever.VectorCoverage{}, err
	}
	defer release()
	store, ok := index.(retriever.VectorStore)
	if !ok {
		return retriever.VectorCoverage{}, fmt.Errorf("%w: a %s index keeps none", ErrNoVectors, p.config.Retriever.Type)
	}
	return store.VectorCoverage(ctx, p.vectors.model)
}

// EmbeddingHash is the content hash of the bundle that makes the vectors, empty
// without a vector ranker.
func (p *Pipeline) EmbeddingHash() string {
	if p.vectors == nil {
		return ""
	}
	return p.vectors.model
}
