package bleve

import (
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type posting struct{ record, tf, length uint32 }

// makeFlat writes a flat file of given postings, as buildFlat would of a
// segment, and opens it.
func makeFlat(t testing.TB, records uint32, terms map[string][]posting) (*flat, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.flat")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(make([]byte, flatHeaderSize)); err != nil {
		t.Fatal(err)
	}
	w := newFlatWriter(file)
	var names []string
	for name := range terms {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, p := range terms[name] {
			w.add(p.record, p.tf, p.length)
		}
		if err := w.end([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	header, err := w.finish(7, make([]uint32, records), make([]uint32, records))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(header.encode(), 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := openFlat(path, 7, uint64(records))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.release)
	return f, path
}

// TestFlatPostings writes lists of every shape (single, unchunked, chunked,
// bitmaps, with gaps of whole chunks, with more pairs than codes) and compares
// what the cursor adds up and looks up with a plain sum.
func TestFlatPostings(t *testing.T) {
	const records = 5*chunkRecords + 100
	random := rand.New(rand.NewPCG(5, 5))
	list := func(density float64, pairs int, in func(uint32) bool) []posting {
		var list []posting
		for record := range uint32(records) {
			if random.Float64() < density && in(record) {
				n := random.IntN(pairs)
				list = append(list, posting{record, uint32(1 + n%300), uint32(1 + n/300)})
			}
		}
		return list
	}
	everywhere := func(uint32) bool { return true }
	terms := map[string][]posting{
		"all":    list(1.1, 1000, everywhere),
		"codes":  list(0.3, 300*400, everywhere), // more than there are codes
		"dense":  list(0.5, 1000, everywhere),
		"ends":   {{0, 1, 1}, {records - 1, 400, 2000}},
		"gap":    list(0.4, 1000, func(r uint32) bool { return r>>chunkBits != 1 && r>>chunkBits != 3 }),
		"mixed":  list(0.02, 1000, everywhere),
		"sparse": list(0.0005, 1000, everywhere),
	}
	f, _ := makeFlat(t, records, terms)
	if f.Escapes == 0 {
		t.Error("no posting is without a code")
	}
	if _, ok := f.term([]byte("absent")); ok {
		t.Error("a term is found that is not there")
	}
	model := bm25{k1: 1.2, base: 0.3, slope: 0.01}
	for name, want := range terms {
		t.Run(name, func(t *testing.T) {
			term, ok := f.term([]byte(name))
			if !ok || int(term.count) != len(want) {
				t.Fatalf("count = %d (%v), want %d", term.count, ok, len(want))
			}
			best, shares := 0.0, map[uint32]float64{}
			for _, p := range want {
				shares[p.record] = 2 * model.norm(uint64(p.tf), uint64(p.length))
				best = max(best, model.norm(uint64(p.tf), uint64(p.length)))
			}
			if bound := term.bound(f.normsOf(model), model); bound < best {
				t.Errorf("bound = %v, below %v", bound, best)
			} else if !strings.Contains("all codes ends", name) && bound > best*1.0001 {
				t.Errorf("bound = %v, far above %v", bound, best)
			}
			cursor := func() *flatCursor {
				return &flatCursor{flat: f, term: term, norms: f.normsOf(model), model: model, weight: 2}
			}
			sums, lookups := cursor(), cursor()
			seen := 0
			for chunk := uint32(0); chunk <= (records-1)>>chunkBits; chunk++ {
				next, ok := sums.nextChunk(chunk)
				sums.load(chunk)
				lookups.load(chunk)
				before := seen
				for first := uint32(0); first < chunkRecords; first += windowRecords {
					var w window
					if err := sums.accumulate(&w, first); err != nil {
						t.Fatal(err)
					}
					for i, sum := range w.sums {
						record := chunk<<chunkBits | first + uint32(i)
						touched := w.touched[i/64]>>(i%64)&1 == 1
						if sum != shares[record] || touched != (sum > 0) {
							t.Fatalf("record %d: sum = %v (touched %v), want %v", record, sum, touched, shares[record])
						}
						if touched {
							seen++
						}
						if touched || random.IntN(50) == 0 {
							got, err := lookups.seek(first + uint32(i))
							if err != nil || got != sum {
								t.Fatalf("record %d: share = %v (%v), want %v", record, got, err, sum)
							}
						}
					}
				}
				if has := ok && next == chunk; has != (seen > before) {
					t.Errorf("chunk %d: nextChunk = %d (%v), %d postings", chunk, next, ok, seen-before)
				}
			}
			if seen != len(want) {
				t.Errorf("%d postings, want %d", seen, len(want))
			}
		})
	}
}

func TestFlatUsers(t *testing.T) {
	f, _ := makeFlat(t, 10, map[string][]posting{"a": {{3, 1, 1}}})
	if !f.acquire() {
		t.Fatal("an open file cannot be used")
	}
	f.release()
	other, err := openFlat(filepath.Join(t.TempDir(), "none"), 1, 1)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("openFlat of nothing = %v, %v", other, err)
	}
}

// FuzzOpenFlat feeds damaged files, their checksum put right, to the reader:
// it refuses them or answers, and never reaches outside of the file.
func FuzzOpenFlat(f *testing.F) {
	_, path := makeFlat(f, 3000, map[string][]posting{
		"a": {{3, 1, 1}, {7, 2, 9}}, "b": {{2999, 1, 1}},
	})
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, 20, byte(1))
	f.Add(data, 100, byte(255))
	f.Fuzz(func(t *testing.T, data []byte, at int, value byte) {
		if len(data) < flatHeaderSize+4 || len(data) > 1<<20 {
			return
		}
		if at >= 0 && at < len(data) {
			data[at] = value
		}
		body := len(data) - 4
		sum := crc32.Update(crc32.Checksum(data[flatHeaderSize:body], crcTable), crcTable, data[:flatHeaderSize])
		copy(data[body:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		path := filepath.Join(t.TempDir(), "test.flat")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		flat, err := openFlat(path, 7, 3000)
		if err != nil {
			return
		}
		defer flat.release()
		// What the checksum vouches for may still be nonsense; reading it is
		// guarded as reading the segments is.
		_ = guard(func() error {
			term, ok := flat.term([]byte("a"))
			if !ok {
				return nil
			}
			model := bm25{k1: 1.2, base: 1, slope: 1}
			c := flatCursor{flat: flat, term: term, norms: flat.normsOf(model), model: model, weight: 1}
			_ = term.bound(c.norms, model)
			c.load(0)
			var w window
			if err := c.accumulate(&w, 0); err != nil {
				return err
			}
			_, err := c.seek(3)
			return err
		})
	})
}
