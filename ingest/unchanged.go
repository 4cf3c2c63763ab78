package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A FileState is what a sync remembers of a file, so that the next one need not
// read it.
type FileState struct {
	Size    int64     `json:"size"`
	ModTime time.Time `json:"modified"`
	Version string    `json:"version,omitempty"`
	// Documents counts those that the file gave.
	Documents int `json:"documents"`
}

// settled is how old a change must be when a sync starts for its time to tell:
// a file may change twice within the resolution of the clock.
const settled = 2 * time.Second

// A fileMemory compares files with what the last sync saw. It is used by
// one goroutine at a time.
type fileMemory struct {
	known   map[string]FileState
	stored  map[string]int // documents in the index, by file; nil while none is known
	same    map[string]bool
	seen    map[string]FileState
	faulted map[string]bool
	started time.Time
}

func newFileMemory(known map[string]FileState) *fileMemory {
	return &fileMemory{known: known, same: map[string]bool{}, seen: map[string]FileState{}, faulted: map[string]bool{}, started: time.Now()}
}

// holder returns the file on disk that a path, be it of a member, lies in.
func holder(path string) string {
	file, _, _ := strings.Cut(path, MemberSeparator)
	return file
}

// count looks what the index holds of each file: a file whose documents were
// removed or replaced otherwise must be read again.
func (m *fileMemory) count(ctx context.Context, index SyncTarget) error {
	if len(m.known) == 0 {
		return nil
	}
	m.stored = map[string]int{}
	for after := ""; ; {
		page, err := index.List(ctx, after, listPage)
		if err != nil {
			return fmt.Errorf("sync: list documents: %w", err)
		}
		for _, info := range page {
			after = info.ID
			m.stored[holder(info.Source.URI)]++
		}
		if len(page) < listPage {
			return nil
		}
	}
}

// unchanged reports whether a file need not be read.
func (m *fileMemory) unchanged(f File) bool {
	m.seen[f.Path] = FileState{Size: f.Size, ModTime: f.ModTime, Version: f.Version}
	known, ok := m.known[f.Path]
	if !ok || known.Documents == 0 || known.Size != f.Size || known.Version != f.Version || m.stored[f.Path] != known.Documents {
		return false
	}
	if f.Version == "" && !known.ModTime.Equal(f.ModTime) {
		return false
	}
	m.same[f.Path] = true
	return true
}

// fault notes that something of a file was not taken, so that it is tried and
// told of again.
func (m *fileMemory) fault(f Fault) { m.faulted[holder(f.Path)] = true }

// document notes a document that is in the index after the sync.
func (m *fileMemory) document(uri string) {
	path := holder(uri)
	if state, ok := m.seen[path]; ok {
		state.Documents++
		m.seen[path] = state
	}
}

// states returns what the next sync may rely on.
func (m *fileMemory) states() map[string]FileState {
	states := map[string]FileState{}
	for path, state := range m.seen {
		if !m.faulted[path] && state.Documents > 0 && (state.Version != "" || m.started.Sub(state.ModTime) > settled) {
			states[path] = state
		}
	}
	return states
}
