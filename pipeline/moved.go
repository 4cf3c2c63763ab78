package pipeline

import (
	"context"

	"github.com/needle-search/needle/retriever"
)

// moved reports whether another process has given the name of an index that is
// in use to another one. Then the index is taken out of the pool, so that the
// name is opened again, and let go; its last user closes it. That an index
// cannot be asked is no news: the call that wants it will say so.
func (p *pool) moved(ctx context.Context, index *pooled) bool {
	mover, ok := index.Index.(retriever.Mover)
	if !ok {
		return false
	}
	moved, err := mover.Moved(ctx)
	if err != nil || !moved {
		return false
	}
	p.mu.Lock()
	_, changing := p.busy[index.name]
	if p.open[index.name] != index || changing || p.closed {
		p.mu.Unlock()
		p.release(index)
		return true // somebody else does it, or has done it
	}
	p.forget(index)
	idle := make(chan struct{})
	index.idle = idle
	p.retiring.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.retiring.Done()
		<-idle
		// What was acknowledged is stored; that closing fails harms nobody.
		_ = index.Close()
	}()
	p.release(index)
	return true
}
