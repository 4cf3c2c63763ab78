package pipeline

import (
	"errors"
	"sync"
)

// A modelSlot holds the model that answers and lets it be exchanged while
// requests run: a request leases the model once and keeps it to its end, so no
// answer mixes two, and a model that was replaced is closed when its last
// request is through. The zero value is an empty slot.
type modelSlot struct {
	mu      sync.Mutex
	current *loadedModel
	closed  bool
	// closing ends the wait for the requests of replaced models.
	closing chan struct{}
	// draining are the replaced models that still have requests.
	draining sync.WaitGroup
	faults   []error // of closing them
}

// lease returns the model that answers now. It stays open until release is
// called, which may be done more than once. The errors are ErrClosed and
// ErrNoReader.
func (s *modelSlot) lease() (m *loadedModel, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, nil, ErrClosed
	case s.current == nil:
		return nil, nil, ErrNoReader
	}
	m = s.current
	m.users.Add(1)
	return m, sync.OnceFunc(m.users.Done), nil
}

// peek returns the model that answers now, nil if there is none, for what needs
// only its description.
func (s *modelSlot) peek() *loadedModel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// swap puts another model into the slot, which owns it from then on, and closes
// the one before when its requests are through. It does not wait for that. It
// fails with ErrClosed, and then the caller keeps the model.
func (s *modelSlot) swap(next *loadedModel) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.closing == nil {
		s.closing = make(chan struct{})
	}
	if old := s.current; old != nil {
		s.draining.Go(func() { s.drain(old) })
	}
	s.current = next
	return nil
}

func (s *modelSlot) drain(old *loadedModel) {
	idle := make(chan struct{})
	go func() {
		old.users.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-s.closing:
		// Closing the model makes what its requests still want to run fail.
	}
	if err := old.close(); err != nil {
		s.mu.Lock()
		s.faults = append(s.faults, err)
		s.mu.Unlock()
	}
	<-idle
}

// close closes all models. Native calls that run are waited for; requests that
// want to start another get models.ErrModelClosed.
func (s *modelSlot) close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	current := s.current
	if s.closing != nil {
		close(s.closing)
	}
	s.mu.Unlock()
	var err error
	if current != nil {
		err = current.close()
	}
	s.draining.Wait()
	return errors.Join(append(s.faults, err)...)
}
