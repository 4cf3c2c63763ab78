//go:build linux

package onnx_test

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/onnx"
)

// nativeMemory is the resident memory that the Go runtime did not ask for.
func nativeMemory(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(data))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages*os.Getpagesize() - int(stats.Sys-stats.HeapReleased)
}

// What the short form of bench/memory does and allows. A tensor that is not freed,
// for a run of 16 tokens on average, would take 25 kB each time and five times of
// what is allowed.
const (
	plateauWarm     = 1000
	plateauRequests = 4000
	plateauAllowed  = 20 << 20
)

// grown is by how much native memory grows over thousands of requests, after some
// hundred lengths were seen. After is called behind every request.
func grown(t *testing.T, after func()) int {
	t.Helper()
	service, err := infer.New(open(t, onnx.Config{}, builtinBundle(t)), infer.Config{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	ask := func(from, to int) {
		var group sync.WaitGroup
		for asker := range 4 {
			group.Go(func() {
				for i := from + asker; i < to; i += 4 {
					n := 2 + i*7%29
					if i%251 == 0 {
						n = 2 + i%383 // an arena sees large ones too
					}
					e := models.Encoding{IDs: make([]int32, n), TypeIDs: make([]int32, n), Sequences: make([]int8, n), Offsets: make([]models.Offset, n)}
					if _, err := service.Run(t.Context(), []models.Encoding{e}); err != nil {
						t.Error(err)
						return
					}
					after()
				}
			})
		}
		group.Wait()
	}
	ask(0, plateauWarm)
	before := nativeMemory(t)
	ask(plateauWarm, plateauWarm+plateauRequests)
	return nativeMemory(t) - before
}

// TestMemoryReachesAPlateau is the short form of bench/memory.
func TestMemoryReachesAPlateau(t *testing.T) {
	more := grown(t, func() {})
	if t.Logf("%d requests took %d kB more", plateauRequests, more>>10); more > plateauAllowed {
		t.Errorf("that is more than %d kB", plateauAllowed>>10)
	}
}

// TestMemoryThatLeaksIsSeen keeps as much native memory behind each request as an
// output that is never freed: the test above would fail.
func TestMemoryThatLeaksIsSeen(t *testing.T) {
	const tensor = 16 * 384 * 4 // hidden states of 16 tokens, in bytes
	var mu sync.Mutex
	var kept [][]byte
	defer func() {
		for _, memory := range kept {
			if err := syscall.Munmap(memory); err != nil {
				t.Error(err)
			}
		}
	}()
	more := grown(t, func() {
		memory, err := syscall.Mmap(-1, 0, tensor, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			t.Error(err)
			return
		}
		for i := 0; i < len(memory); i += os.Getpagesize() {
			memory[i] = 1 // or the system would not give it
		}
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, memory)
	})
	if t.Logf("%d requests that leak took %d kB more", plateauRequests, more>>10); more <= plateauAllowed {
		t.Errorf("a leak of %d kB was not seen: %d kB", plateauRequests*tensor>>10, more>>10)
	}
}

// TestClosedModelsGiveMemoryBack opens and closes a model again and again, each
// time on another thread, as a server does whose model is exchanged. The C library
// keeps what a thread has freed unless it is told not to.
func TestClosedModelsGiveMemoryBack(t *testing.T) {
	const warm, rounds, allowed = 4, 12, 12 << 20
	bundle := builtinBundle(t)
	e := models.Encoding{IDs: make([]int32, 300), TypeIDs: make([]int32, 300), Sequences: make([]int8, 300), Offsets: make([]models.Offset, 300)}
	path, before := library(t), 0
	for round := range rounds {
		if round == warm {
			before = nativeMemory(t)
		}
		done := make(chan error)
		go func() {
			// Not unlocked: the thread ends with the goroutine.
			runtime.LockOSThread()
			model, err := onnx.Open(t.Context(), onnx.Config{LibraryPath: path}, bundle)
			if err == nil {
				_, err = model.Run(t.Context(), []models.Encoding{e})
				err = errors.Join(err, model.Close())
			}
			done <- err
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	more := nativeMemory(t) - before
	if t.Logf("%d models that were opened and closed took %d kB more", rounds-warm, more>>10); more > allowed {
		t.Errorf("that is more than %d kB", allowed>>10)
	}
}
