//go:build linux

package onnx_test

import (
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
