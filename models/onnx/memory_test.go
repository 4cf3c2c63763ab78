//go:build linux

package onnx_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
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

// TestMemoryReachesAPlateau is the short form of bench/memory: after some
// hundred lengths were seen, thousands of requests more take no more memory. A
// tensor that is not freed, for a run of 16 tokens on average, would take 25 kB
// each time and five times of what is allowed.
func TestMemoryReachesAPlateau(t *testing.T) {
	const warm, requests, allowed = 1000, 4000, 20 << 20
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
				}
			})
		}
		group.Wait()
	}
	ask(0, warm)
	before := nativeMemory(t)
	ask(warm, warm+requests)
	if grown := nativeMemory(t) - before; grown > allowed {
		t.Errorf("%d requests took %d kB more, want at most %d", requests, grown>>10, allowed>>10)
	} else {
		t.Logf("%d requests took %d kB more", requests, grown>>10)
	}
}
