package pipeline

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"github.com/needle-search/needle/retriever"
)

// A pool holds the open indexes of a pipeline. Indexes are opened when they are
// used; beyond the limit, the one that was used longest ago is closed, and
// opened again when it is used again. An index in use is never closed for the
// limit, so while more are in use than may be open, more are open.
type pool struct {
	backend retriever.Backend
	cache   *cache
	limit   int
	// opened is told of every index that was opened, before anybody uses it.
	opened func(context.Context, string, retriever.Index)

	mu     sync.Mutex
	closed bool
	open   map[string]*pooled
	// order holds the open indexes, the last used in front.
	order *list.List
	// busy holds the names of indexes that are being opened, closed, made,
	// dropped or swapped; the channel is closed when that is over.
	busy map[string]chan struct{}
	// generations are those of indexes that were open before.
	generations map[string]uint64
	gates       map[string]*writeGate
	// retiring counts the indexes that are closed when their last user is gone.
	retiring sync.WaitGroup
}

// pooled is an open index.
type pooled struct {
	retriever.Index
	name  string
	users int
	place *list.Element
	// idle is closed when the last user of an index that was taken lets go.
	idle chan struct{}
}

func newPool(backend retriever.Backend, cache *cache, limit int, opened func(context.Context, string, retriever.Index)) *pool {
	return &pool{
		opened:  opened,
		backend: backend, cache: cache, limit: limit, open: map[string]*pooled{}, order: list.New(), busy: map[string]chan struct{}{},
		generations: map[string]uint64{}, gates: map[string]*writeGate{},
	}
}

// reserve waits until nobody opens, closes or changes the names and keeps others
// from it until release is called.
func (p *pool) reserve(ctx context.Context, names ...string) (release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var wait chan struct{}
		for _, name := range names {
			if c, ok := p.busy[name]; ok {
				wait = c
			}
		}
		if wait == nil {
			break
		}
		p.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if p.closed {
		return nil, ErrClosed
	}
	return p.mark(names...), nil
}

// mark makes names busy; p.mu must be held.
func (p *pool) mark(names ...string) (release func()) {
	done := make(chan struct{})
	for _, name := range names {
		p.busy[name] = done
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, name := range names {
			delete(p.busy, name)
		}
		close(done)
	}
}

// acquire returns an index that stays open until release is called.
func (p *pool) acquire(ctx context.Context, name string) (index *pooled, release func(), err error) {
	index, err = p.lookup(name, false)
	if index != nil && p.moved(ctx, index) {
		index = nil
	}
	if index == nil && err == nil {
		index, err = p.openOnce(ctx, name)
	}
	if err != nil {
		return nil, nil, err
	}
	return index, func() { p.release(index) }, nil
}

// openOnce uses an index, and opens it unless another call does.
func (p *pool) openOnce(ctx context.Context, name string) (*pooled, error) {
	free, err := p.reserve(ctx, name)
	if err != nil {
		return nil, err
	}
	defer free()
	if index, err := p.lookup(name, true); index != nil || err != nil {
		return index, err
	}
	p.shrink(p.limit - 1)
	opened, err := p.backend.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	p.opened(ctx, name, opened)
	return p.add(name, opened)
}

// lookup uses an index that is open; nil if it is not, or if somebody but the
// caller has reserved its name.
func (p *pool) lookup(name string, reserved bool) (*pooled, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	index, ok := p.open[name]
	if !ok {
		return nil, nil
	}
	if _, changing := p.busy[name]; changing && !reserved {
		return nil, nil
	}
	index.users++
	p.order.MoveToFront(index.place)
	return index, nil
}

// add takes an index that was just opened or made, and uses it. Its name is
// reserved.
func (p *pool) add(name string, opened retriever.Index) (*pooled, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errors.Join(ErrClosed, opened.Close())
	}
	defer p.mu.Unlock()
	index := &pooled{Index: opened, name: name, users: 1}
	index.place = p.order.PushFront(index)
	p.open[name] = index
	p.cache.open(opened)
	return index, nil
}

func (p *pool) release(index *pooled) {
	p.mu.Lock()
	index.users--
	if index.users == 0 && index.idle != nil {
		close(index.idle)
		index.idle = nil
	}
	over := len(p.open) > p.limit
	p.mu.Unlock()
	if over {
		p.shrink(p.limit)
	}
}

// shrink closes indexes that nobody uses until at most a number is open.
func (p *pool) shrink(most int) {
	for {
		p.mu.Lock()
		var victim *pooled
		if len(p.open) > most && !p.closed {
			for e := p.order.Back(); e != nil; e = e.Prev() {
				candidate := e.Value.(*pooled)
				if _, changing := p.busy[candidate.name]; candidate.users == 0 && !changing {
					victim = candidate
					break
				}
			}
		}
		if victim == nil {
			p.mu.Unlock()
			return
		}
		p.forget(victim)
		// Whoever wants it again waits until it is closed.
		free := p.mark(victim.name)
		p.mu.Unlock()
		// What was acknowledged is stored; that closing fails harms nobody.
		_ = victim.Close()
		free()
	}
}

// forget takes an index out of the pool; p.mu must be held.
func (p *pool) forget(index *pooled) {
	p.generations[index.name] = index.Generation()
	delete(p.open, index.name)
	p.order.Remove(index.place)
	p.cache.drop(index.Index)
}

// take takes an index whose name is reserved out of the pool, if it is open. The
// returned function waits for its last user and closes it.
func (p *pool) take(name string) (retire func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	index := p.open[name]
	if index == nil {
		return func() error { return nil }
	}
	p.forget(index)
	idle := make(chan struct{})
	if index.users == 0 {
		close(idle)
	} else {
		index.idle = idle
	}
	return func() error {
		<-idle
		return index.Close()
	}
}

// exchange gives the open indexes of two names, which are reserved, the name of
// the other.
func (p *pool) exchange(a, b string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, y := p.open[a], p.open[b]
	delete(p.open, a)
	delete(p.open, b)
	if x != nil {
		x.name = b
		p.open[b] = x
	}
	if y != nil {
		y.name = a
		p.open[a] = y
	}
	p.generations[a], p.generations[b] = p.generations[b], p.generations[a]
}

// generation returns the last known generation of an index.
func (p *pool) generation(name string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index, ok := p.open[name]; ok {
		return index.Generation()
	}
	return p.generations[name]
}

// openCount returns how many indexes are open.
func (p *pool) openCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// gate returns the gate of an index's writers.
func (p *pool) gate(name string) *writeGate {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.gates[name]
	if !ok {
		g = &writeGate{}
		p.gates[name] = g
	}
	return g
}

// close closes all indexes, which waits for the calls that run.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	indexes := p.open
	p.open = map[string]*pooled{}
	var changes []chan struct{}
	for _, c := range p.busy {
		changes = append(changes, c)
	}
	p.mu.Unlock()
	var faults []error
	for _, index := range indexes {
		faults = append(faults, index.Close())
	}
	// What is being opened or closed ends before the back end does.
	for _, c := range changes {
		<-c
	}
	p.retiring.Wait()
	return errors.Join(faults...)
}

// writeGate knows who writes to an index. Writers pass it together; a rebuild
// closes it for the moment in which it catches up with the last of them.
type writeGate struct {
	writers sync.RWMutex

	mu sync.Mutex
	// changed holds the documents that were written since a rebuild looked last;
	// nil while there is none.
	changed map[string]struct{}
}

// note remembers that documents were written, or may have been.
func (g *writeGate) note(ids []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed == nil {
		return
	}
	for _, id := range ids {
		g.changed[id] = struct{}{}
	}
}

// watch begins to remember what is written; it fails if somebody does already.
func (g *writeGate) watch() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed != nil {
		return false
	}
	g.changed = map[string]struct{}{}
	return true
}

// drain returns what was written since it was called last.
func (g *writeGate) drain() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := make([]string, 0, len(g.changed))
	for id := range g.changed {
		ids = append(ids, id)
	}
	g.changed = map[string]struct{}{}
	return ids
}

func (g *writeGate) unwatch() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed = nil
}
