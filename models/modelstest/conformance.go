package modelstest

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/needle-search/needle/models"
)

// Tolerance is how far values may differ between runs of the same encoding:
// rounding in sums of another order, on values of magnitude 10.
const Tolerance = 1e-4

// TestLanguageModel checks that a language model behaves as [models.LanguageModel]
// says. The function open returns a new one every time; the suite closes it.
// Run it with -race.
func TestLanguageModel(t *testing.T, open func(t *testing.T) models.LanguageModel) {
	opened := func(t *testing.T) models.LanguageModel {
		t.Helper()
		m := open(t)
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return m
	}
	t.Run("Info", func(t *testing.T) { testInfo(t, opened(t)) })
	t.Run("Shapes", func(t *testing.T) { testShapes(t, opened(t)) })
	t.Run("Batch", func(t *testing.T) { testBatch(t, opened(t)) })
	t.Run("Repeat", func(t *testing.T) { testRepeat(t, opened(t)) })
	t.Run("Ownership", func(t *testing.T) { testOwnership(t, opened(t)) })
	t.Run("Refuse", func(t *testing.T) { testRefuse(t, opened(t)) })
	t.Run("Cancel", func(t *testing.T) { testCancel(t, opened(t)) })
	t.Run("Concurrent", func(t *testing.T) { testConcurrent(t, opened(t)) })
	t.Run("Close", func(t *testing.T) { testClose(t, open(t)) })
	t.Run("CloseWhileRunning", func(t *testing.T) { testCloseWhileRunning(t, open(t)) })
}

// Encodings returns valid encodings of various lengths up to maxLength for a
// model with a vocabulary of at least 1000. Equal arguments give equal results.
func Encodings(count, maxLength int) []models.Encoding {
	lengths := []int{7, 64, 3, 129, 16, 33, 250, 2}
	state := uint32(1)
	batch := make([]models.Encoding, count)
	for k := range batch {
		n := min(lengths[k%len(lengths)]+k/len(lengths), maxLength)
		b := newBuilder(n)
		for i := range n {
			state = state*1664525 + 1013904223
			id := int32(state>>16) % 1000
			switch {
			case i == 0 || i == n-1:
				b.special(id, int32(min(i, 1)))
			case i < n/3:
				b.add(id, 0, models.SequenceFirst, models.Offset{Start: int32(i), End: int32(i + 1)})
			default:
				b.add(id, 1, models.SequenceSecond, models.Offset{Start: int32(i), End: int32(i + 1)})
			}
		}
		b.encoding.First, b.encoding.Last = min(max(n/3, 1), n-1), n-1
		batch[k] = b.encoding
	}
	return batch
}

func run(t *testing.T, m models.LanguageModel, batch []models.Encoding) []models.Outputs {
	t.Helper()
	results, err := m.Run(t.Context(), batch)
	if err != nil {
		t.Fatalf("run %d encodings: %v", len(batch), err)
	}
	if len(results) != len(batch) {
		t.Fatalf("run %d encodings: got %d outputs", len(batch), len(results))
	}
	return results
}

func testInfo(t *testing.T, m models.LanguageModel) {
	info := m.Info()
	for name, value := range map[string]string{
		"name": info.Name, "hash": info.Hash, "precision": info.Precision, "device": info.Device, "runtime": info.Runtime,
	} {
		if value == "" {
			t.Errorf("info: %s is empty", name)
		}
	}
	if info.MaxLength < 8 {
		t.Errorf("info: maximum length is %d, want at least 8", info.MaxLength)
	}
	if len(info.OutputNames) == 0 {
		t.Error("info: there are no output names")
	}
	if hidden := slices.Contains(info.OutputNames, models.OutputHidden); hidden != (info.Width > 0) {
		t.Errorf("info: width is %d and the outputs are %q", info.Width, info.OutputNames)
	}
}

func testShapes(t *testing.T, m models.LanguageModel) {
	info := m.Info()
	for _, n := range []int{2, 8, info.MaxLength} {
		e := Encodings(7, info.MaxLength)[6] // a long one
		for e.Len() < n {
			e.IDs = append(e.IDs, e.IDs...)
			e.TypeIDs = append(e.TypeIDs, e.TypeIDs...)
			e.Sequences = append(e.Sequences, e.Sequences...)
			e.Offsets = append(e.Offsets, e.Offsets...)
		}
		e.IDs, e.TypeIDs, e.Sequences, e.Offsets = e.IDs[:n], e.TypeIDs[:n], e.Sequences[:n], e.Offsets[:n]
		e.First, e.Last = 1, n-1
		outputs := run(t, m, []models.Encoding{e})[0]
		if len(outputs) != len(info.OutputNames) {
			t.Errorf("%d tokens: got %d outputs, want %q", n, len(outputs), info.OutputNames)
		}
		for _, name := range info.OutputNames {
			tensor, ok := outputs[name]
			if !ok {
				t.Errorf("%d tokens: output %q is missing", n, name)
				continue
			}
			size := 1
			for _, d := range tensor.Shape {
				size *= d
			}
			if size != len(tensor.Data) {
				t.Errorf("%d tokens: output %q has shape %v and %d values", n, name, tensor.Shape, len(tensor.Data))
			}
			if name == models.OutputHidden && !slices.Equal(tensor.Shape, []int{n, info.Width}) {
				t.Errorf("%d tokens: output %q has shape %v, want [%d %d]", n, name, tensor.Shape, n, info.Width)
			}
			for i, v := range tensor.Data {
				if v != v || math.IsInf(float64(v), 0) {
					t.Errorf("%d tokens: output %q: value %d is %v", n, name, i, v)
					break
				}
			}
		}
	}
	if results, err := m.Run(t.Context(), nil); err != nil || len(results) != 0 {
		t.Errorf("an empty batch: got %d outputs and error %v, want none", len(results), err)
	}
}

// testBatch is at once a test of padding: in a batch of mixed lengths some
// encodings may be padded, alone none is.
func testBatch(t *testing.T, m models.LanguageModel) {
	batch := Encodings(12, m.Info().MaxLength)
	together := run(t, m, batch)
	for i, e := range batch {
		alone := run(t, m, []models.Encoding{e})[0]
		compare(t, i, together[i], alone, Tolerance)
	}
	slices.Reverse(batch)
	reversed := run(t, m, batch)
	for i := range batch {
		compare(t, i, together[i], reversed[len(batch)-1-i], Tolerance)
	}
}

func testRepeat(t *testing.T, m models.LanguageModel) {
	batch := Encodings(4, m.Info().MaxLength)
	first, second := run(t, m, batch), run(t, m, batch)
	for i := range batch {
		compare(t, i, first[i], second[i], 0)
	}
}

func testOwnership(t *testing.T, m models.LanguageModel) {
	batch := Encodings(4, m.Info().MaxLength)
	want := run(t, m, batch)
	got := run(t, m, batch)
	// What one result holds is nobody else's: not another's, not the model's.
	for name, tensor := range got[0] {
		clear(tensor.Data)
		got[0][name] = tensor
	}
	for i := 1; i < len(batch); i++ {
		compare(t, i, want[i], got[i], 0)
	}
	again := run(t, m, batch)
	for i := range batch {
		compare(t, i, want[i], again[i], 0)
	}
}

func compare(t *testing.T, i int, want, got models.Outputs, tolerance float64) {
	t.Helper()
	for name, w := range want {
		g := got[name]
		if !slices.Equal(w.Shape, g.Shape) {
			t.Errorf("encoding %d: output %q has shape %v, want %v", i, name, g.Shape, w.Shape)
			continue
		}
		for k := range w.Data {
			if d := math.Abs(float64(w.Data[k]) - float64(g.Data[k])); !(d <= tolerance) {
				t.Errorf("encoding %d: output %q: value %d is %v, want %v within %v", i, name, k, g.Data[k], w.Data[k], tolerance)
				break
			}
		}
	}
}

func testRefuse(t *testing.T, m models.LanguageModel) {
	long := models.Encoding{}
	for range m.Info().MaxLength + 1 {
		long.IDs = append(long.IDs, 5)
		long.TypeIDs = append(long.TypeIDs, 0)
		long.Sequences = append(long.Sequences, 0)
		long.Offsets = append(long.Offsets, models.Offset{})
	}
	for name, e := range map[string]models.Encoding{"an empty encoding": {}, "one token too many": long} {
		if _, err := m.Run(t.Context(), []models.Encoding{e}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	run(t, m, Encodings(1, m.Info().MaxLength)) // the model lives on
}

func testCancel(t *testing.T, m models.LanguageModel) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Run(ctx, Encodings(2, m.Info().MaxLength)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: got error %v, want context.Canceled", err)
	}
	// Cancelled at some moment in between: either all results or the error.
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		batch := Encodings(4, m.Info().MaxLength)
		var canceller sync.WaitGroup
		canceller.Go(cancel)
		results, err := m.Run(ctx, batch)
		canceller.Wait()
		switch {
		case err != nil && !errors.Is(err, context.Canceled):
			t.Errorf("cancelled: got error %v, want context.Canceled", err)
		case err == nil && len(results) != len(batch):
			t.Errorf("cancelled: got %d outputs for %d encodings and no error", len(results), len(batch))
		}
	}
	run(t, m, Encodings(2, m.Info().MaxLength)) // the model lives on
}

func testConcurrent(t *testing.T, m models.LanguageModel) {
	batch := Encodings(8, m.Info().MaxLength)
	want := run(t, m, batch)
	var group sync.WaitGroup
	for k := range 4 {
		group.Go(func() {
			for i := range batch {
				at := (i + 3*k) % len(batch)
				results, err := m.Run(t.Context(), batch[at:at+1])
				if err != nil {
					t.Errorf("concurrent run: %v", err)
					return
				}
				compare(t, at, want[at], results[0], Tolerance)
			}
		})
	}
	group.Wait()
}

func testClose(t *testing.T, m models.LanguageModel) {
	run(t, m, Encodings(1, m.Info().MaxLength))
	for range 2 {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := m.Run(t.Context(), Encodings(1, m.Info().MaxLength)); !errors.Is(err, models.ErrModelClosed) {
		t.Errorf("run after close: got error %v, want ErrModelClosed", err)
	}
	if m.Info().Name == "" {
		t.Error("info after close: name is empty")
	}
}

// testCloseWhileRunning would crash the process if native memory were freed
// under a running call.
func testCloseWhileRunning(t *testing.T, m models.LanguageModel) {
	var group sync.WaitGroup
	started := make(chan struct{}, 4)
	for range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				_, err := m.Run(t.Context(), Encodings(2, m.Info().MaxLength))
				if i == 0 {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, models.ErrModelClosed) {
						t.Errorf("run while closing: got error %v, want ErrModelClosed", err)
					}
					return
				}
			}
		})
	}
	for range 4 {
		<-started
	}
	for range 2 {
		group.Go(func() {
			if err := m.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	group.Wait()
}
