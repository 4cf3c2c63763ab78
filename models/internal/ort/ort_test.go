package ort

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/internal/ortlib"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func libraryPath(t testing.TB) string {
	t.Helper()
	found, err := ortlib.Locate(ortlib.Options{})
	switch {
	case err == nil:
		return found.Path
	case os.Getenv("CI") == "true":
		t.Fatalf("ONNX Runtime is needed: %v", err)
	default:
		t.Skipf("ONNX Runtime is not set up; run: go run ./cmd/needle setup (%v)", err)
	}
	return ""
}

func builtinGraph(t testing.TB) []byte {
	t.Helper()
	bundle, err := builtin.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	graph, err := bundle.ReadFile(bundle.Manifest.Graphs["int8"])
	if err != nil {
		t.Fatal(err)
	}
	return graph
}

var builtinConfig = SessionConfig{
	Inputs:  []string{"input_ids", "attention_mask", "token_type_ids"},
	Outputs: []string{"last_hidden_state"},
}

func builtinSession(t testing.TB) *Session {
	t.Helper()
	library, err := Load(libraryPath(t))
	if err != nil {
		t.Fatal(err)
	}
	session, err := library.NewSession(builtinGraph(t), builtinConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

func batch(rows, tokens int) ([]int64, [][]int64) {
	n := rows * tokens
	ids, mask, segments := make([]int64, n), make([]int64, n), make([]int64, n)
	for i := range n {
		ids[i], mask[i] = int64(1000+i%20000), 1
	}
	return []int64{int64(rows), int64(tokens)}, [][]int64{ids, mask, segments}
}

func TestLoadOnce(t *testing.T) {
	path := libraryPath(t)
	first, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if first.Version() == "" || first.Path() == "" {
		t.Errorf("version is %q, path is %q", first.Version(), first.Path())
	}
	link := filepath.Join(t.TempDir(), "link.so")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if second, err := Load(link); err != nil || second != first {
		t.Errorf("the same library through a link: got %p and error %v, want %p", second, err, first)
	}
	other := filepath.Join(t.TempDir(), "other.so")
	if err := os.WriteFile(other, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(other); !errors.Is(err, ErrOtherLibrary) {
		t.Errorf("a second library: got error %v, want ErrOtherLibrary", err)
	}
}

func TestCheckFormat(t *testing.T) {
	elf := func(class, machine byte) []byte {
		header := make([]byte, 64)
		copy(header, "\x7fELF")
		header[4], header[5], header[6] = class, 1, 1 // little endian
		header[16], header[18], header[20] = 3, machine, 1
		header[52], header[54], header[58] = 64, 56, 64
		return header
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"text", []byte("not a library"), "the file is no shared library"},
		{"empty", nil, "the file is no shared library"},
		{"other processor", elf(2, 243), "it is built for [linux on EM_RISCV]; this program needs one for "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lib.so")
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := checkFormat(path); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
		})
	}
	if err := checkFormat(libraryPath(t)); err != nil {
		t.Errorf("the real library: %v", err)
	}
}

func TestExplain(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"too old", "Platform-specific initialization failed: Error setting ORT API base: 2", "it is too old; version 1.24 or newer is needed"},
		{"another library", `Platform-specific initialization failed: Error looking up OrtGetApiBase in "x": undefined symbol`, "it is a library, but not ONNX Runtime (it has no OrtGetApiBase)"},
		{"linker", `Platform-specific initialization failed: libcudart.so.12: cannot open`, "libcudart.so.12: cannot open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := explain(errors.New(tt.text)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A call that ends by itself gives outputs; only one that was told to stop
// gives the context's error. So this fails if Terminate does not arrive.
func TestCancellationReachesTheNativeCall(t *testing.T) {
	s := builtinSession(t)
	shape, inputs := batch(16, 512)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { _, err := s.Run(ctx, shape, inputs); result <- err }()
	for running := 0; running == 0; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		running = s.running
		s.mu.Unlock()
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
	shape, inputs = batch(1, 8)
	if _, err := s.Run(t.Context(), shape, inputs); err != nil {
		t.Errorf("a run afterwards: %v", err)
	}
}

func TestCloseWaitsForTheNativeCall(t *testing.T) {
	s := builtinSession(t)
	shape, inputs := batch(2, 256)
	result := make(chan error, 1)
	go func() { _, err := s.Run(t.Context(), shape, inputs); result <- err }()
	for running := 0; running == 0; {
		s.mu.Lock()
		running = s.running
		s.mu.Unlock()
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	group.Wait()
	// The call held the session open, so it is over.
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running != 0 {
		t.Errorf("%d calls run after Close returned", running)
	}
	if err := <-result; err != nil {
		t.Errorf("the call that ran: %v", err)
	}
	if _, err := s.Run(t.Context(), shape, inputs); !errors.Is(err, models.ErrModelClosed) {
		t.Errorf("run after close: got error %v, want ErrModelClosed", err)
	}
}

func TestRunRefuses(t *testing.T) {
	s := builtinSession(t)
	shape, inputs := batch(1, 8)
	tests := []struct {
		name   string
		shape  []int64
		inputs [][]int64
		want   string
	}{
		{"an input missing", shape, inputs[:2], "got 2 inputs, want 3"},
		{"shape larger than data", []int64{1, 9}, inputs, "requires 9 elements, but only 8 were provided"},
		{"id outside the vocabulary", []int64{1, 1}, [][]int64{{1 << 20}, {1}, {0}}, "out of range"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.Run(t.Context(), tt.shape, tt.inputs)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := s.Run(t.Context(), shape, inputs); err != nil {
		t.Errorf("a run afterwards: %v", err)
	}
}

func TestNewSessionRefusesABrokenGraph(t *testing.T) {
	library, err := Load(libraryPath(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, graph := range map[string][]byte{"empty": nil, "text": []byte("hello"), "cut off": builtinGraph(t)[:1<<20]} {
		if _, err := library.NewSession(graph, builtinConfig); !errors.Is(err, ErrGraph) {
			t.Errorf("%s: got error %v, want ErrGraph", name, err)
		}
	}
}
