package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// A Config says what to run; Command, Dir and Duration are needed.
type Config struct {
	// Command starts Needle; `serve --config FILE` is added. Env is added to the
	// environment.
	Command []string
	Env     []string
	// Dir takes the data and logs of the servers.
	Dir string
	// Bundle is a second bundle, which takes turns with the embedded one; empty
	// means a copy of that under another name.
	Bundle   string
	Duration time.Duration
	// Askers is how many clients ask at a time, 2 when 0; Writers how many
	// write, 2 when 0.
	Askers, Writers int
	// Facts is how many documents there are, 60 when 0.
	Facts int
	// Between is the time from one checkpoint to the next, 60 s when 0. Steady is
	// the part of it in which nobody writes and answers are kept for the oracle,
	// an eighth of it when 0.
	Between, Steady time.Duration
	// Compare is about how many answers of a checkpoint the oracle is asked about
	// for each model, 24 when 0.
	Compare int
	// Swaps is about how long a model stays, 20 s when 0.
	Swaps time.Duration
	Seed  uint64
	// Log, when set, is told how it goes.
	Log io.Writer
	// Via, when set, returns the address to ask in place of the server's own, for
	// tests that put something between. The oracle is asked directly.
	Via func(url string) string
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Command) == 0 || c.Dir == "" || c.Duration <= 0 {
		return c, errors.New("workload: Command, Dir and Duration are needed")
	}
	for _, n := range []struct {
		value    *int
		standard int
	}{{&c.Askers, 2}, {&c.Writers, 2}, {&c.Facts, 60}, {&c.Compare, 24}} {
		if *n.value == 0 {
			*n.value = n.standard
		}
	}
	if c.Facts < 2 || c.Facts > maxFacts() || c.Askers < 1 || c.Writers < 1 || c.Compare < 1 {
		return c, fmt.Errorf("workload: Facts: %d; allowed are 2 to %d, and at least one asker, writer and comparison", c.Facts, maxFacts())
	}
	if c.Between == 0 {
		c.Between = time.Minute
	}
	if c.Steady == 0 {
		c.Steady = c.Between / 8
	}
	if c.Swaps == 0 {
		c.Swaps = 20 * time.Second
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c, nil
}

// A run is one soak.
type run struct {
	Config
	server, oracle *server
	ledger         *ledger
	facts          []fact
	// models are the content hashes of the embedded bundle and the other one.
	models [2]string
	pool   pool
	begun  time.Time
	end    atomic.Bool

	// traffic is held by every request, writing by every write besides: who
	// holds it alone has a quiet server. Writing comes first.
	traffic, writing sync.RWMutex

	refused   atomic.Int64
	recording atomic.Bool
	mu        sync.Mutex
	recorded  map[string]recording
	report    Report
}

// Run starts two servers, sends traffic to one of them for a while, and holds it
// against the other. An error means that it could not be done; whether all was
// well is said by [Report.Err].
func Run(ctx context.Context, c Config) (report *Report, err error) {
	c, err = c.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, ledger: newLedger(c.Facts), recorded: map[string]recording{}}
	r.report.Requests = map[string]*Count{}
	for n := range c.Facts {
		r.facts = append(r.facts, newFact(n))
	}
	if r.Bundle == "" {
		r.Bundle = filepath.Join(c.Dir, "other")
		if err := copyBundle(r.Bundle); err != nil {
			return nil, fmt.Errorf("workload: %w", err)
		}
	}
	if r.server, err = start(ctx, c, "server", 64<<20); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.server.stop()) }()
	direct := c
	direct.Via = nil
	if r.oracle, err = start(ctx, direct, "oracle", 0); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.oracle.stop()) }()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if err := r.work(ctx); err != nil {
		return nil, err
	}
	r.finish()
	return &r.report, nil
}

// copyBundle makes a bundle that reads as the embedded one does, but has another
// name and so another hash and no score profile.
func copyBundle(dir string) error {
	if err := os.CopyFS(dir, builtin.Files()); err != nil {
		return err
	}
	bundle, err := builtin.Bundle()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "needle.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed := strings.Replace(string(data), `"`+bundle.Manifest.Name+`"`, `"another-reader"`, 1)
	return os.WriteFile(path, []byte(changed), 0o600)
}

// prepare stores the first version of everything and learns what the models say.
func (r *run) prepare(ctx context.Context) error {
	var documents []retriever.Document
	for _, f := range r.facts {
		documents = append(documents, f.document(1))
	}
	for n := range r.facts {
		r.ledger.begin(n, state{version: 1})
	}
	for _, s := range []*server{r.server, r.oracle} {
		if _, err := s.client.Put(ctx, "", documents); err != nil {
			return fmt.Errorf("workload: the first documents: %w", err)
		}
		if err := s.complete(ctx); err != nil {
			return err
		}
	}
	for n := range r.facts {
		r.ledger.acknowledge(n, 0, 0)
	}
	r.pool = newPool(r.facts)
	for i := range r.models {
		hash, err := r.oracle.use(ctx, r.use(i))
		if err != nil {
			return err
		}
		r.models[i] = hash
		if err := r.pool.learn(ctx, r.oracle.client, i); err != nil {
			return fmt.Errorf("workload: ask the oracle: %w", err)
		}
	}
	if r.models[0] == r.models[1] {
		return fmt.Errorf("workload: Bundle: %s is the embedded bundle", r.Bundle)
	}
	status, err := r.server.client.Models(ctx)
	if err != nil || len(status) == 0 || status[0].Model.Hash != r.models[0] {
		return fmt.Errorf("workload: the server does not begin with the embedded bundle: %+v, %w", status, err)
	}
	r.ledger.beginModel(0)
	r.ledger.acknowledgeModel(0)
	return nil
}

// use asks for one of the two models.
func (r *run) use(i int) pipeline.ModelUse {
	if i == 0 {
		return pipeline.ModelUse{Reset: true}
	}
	return pipeline.ModelUse{Bundle: r.Bundle}
}

func (s *server) use(ctx context.Context, use pipeline.ModelUse) (hash string, err error) {
	swap, err := s.client.UseModel(ctx, use)
	if err != nil {
		return "", fmt.Errorf("workload: exchange the model: %w", err)
	}
	return swap.Current.Model.Hash, nil
}

// complete waits until all vectors are there.
func (s *server) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	for {
		stats, err := s.client.Stats(ctx, "")
		if err != nil {
			return fmt.Errorf("workload: %w", err)
		}
		// Those of a model that is not in use any more do not count.
		if stats.Passages == 0 || slices.ContainsFunc(stats.Vectors, func(v retriever.VectorStatistics) bool { return v.Complete() }) {
			return nil
		}
		if err := s.pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("workload: the vectors do not get complete: %w", err)
		}
	}
}

// work lets everybody loose until the time is over.
func (r *run) work(ctx context.Context) error {
	r.begun = time.Now()
	// The first sample comes before anything ran.
	if err := r.look(ctx, true); err != nil {
		return err
	}
	var group sync.WaitGroup
	random := func(who int) *rand.Rand { return rand.New(rand.NewPCG(r.Seed, uint64(who))) } //nolint:gosec // no secret
	for i := range r.Askers {
		group.Go(func() { r.asker(ctx, random(i)) })
	}
	for i := range r.Writers {
		group.Go(func() { r.writer(ctx, random(100+i), i) })
	}
	group.Go(func() { r.swapper(ctx, random(200)) })
	group.Go(func() { r.churner(ctx, random(201)) })
	err := r.watch(ctx)
	r.end.Store(true)
	group.Wait()
	return err
}

// watch takes samples and holds checkpoints until the time is over.
func (r *run) watch(ctx context.Context) error {
	const every = 5 * time.Second
	next := time.Now().Add(r.Between)
	for {
		over := time.Since(r.begun) >= r.Duration
		if over || !time.Now().Before(next) {
			if err := r.checkpoint(ctx); err != nil {
				return err
			}
			next = time.Now().Add(r.Between)
		} else if err := r.look(ctx, false); err != nil {
			return err
		}
		if over {
			return nil
		}
		if err := r.server.pause(ctx, min(every, r.Between, max(time.Until(next), time.Millisecond))); err != nil {
			return err
		}
	}
}

// look takes a sample.
func (r *run) look(ctx context.Context, quiet bool) error {
	s, err := r.server.sample(ctx, quiet)
	if err != nil {
		return fmt.Errorf("workload: look at the server: %w", err)
	}
	s.Seconds = time.Since(r.begun).Seconds()
	r.report.Samples = append(r.report.Samples, s)
	if quiet {
		fmt.Fprintf(r.Log, "%5.0f s: %.0f goroutines, %.0f handles, %.0f threads, heap %.1f MB, resident %.1f MB; %d wrong\n",
			s.Seconds, s.Goroutines, s.Handles, s.Threads, s.Heap, s.Resident, r.wrongs())
	}
	return nil
}

func (r *run) finish() {
	r.report.Seconds = time.Since(r.begun).Seconds()
	r.report.Growth = growths(r.report.Samples)
	slices.Sort(r.report.latencies)
	at := func(q float64) float64 {
		if n := len(r.report.latencies); n > 0 {
			return r.report.latencies[min(int(q*float64(n)), n-1)]
		}
		return 0
	}
	r.report.P50, r.report.P99 = at(0.5), at(0.99)
}
