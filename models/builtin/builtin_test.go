package builtin_test

import (
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/builtin"
)

// maxBytes bounds what the bundle adds to every binary.
const maxBytes = 26 << 20

func TestBundle(t *testing.T) {
	b, err := builtin.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if _, ok := b.Manifest.Graphs["int8"]; !ok || len(b.Manifest.Graphs) != 1 {
		t.Errorf("graphs are %v, want int8 alone", b.Manifest.Graphs)
	}
	if _, ok := b.Head(models.HeadSpan); !ok {
		t.Errorf("heads are %v, want one of kind %q", b.Manifest.Heads, models.HeadSpan)
	}
	if len(b.Manifest.Languages) == 0 || b.Manifest.License == "" {
		t.Errorf("languages are %v and the licence is %q, want both stated", b.Manifest.Languages, b.Manifest.License)
	}
}

// TestFiles holds the embedded directory against its manifest: a file too many
// is dead weight in every binary, licence texts must travel with the weights.
func TestFiles(t *testing.T) {
	b, err := builtin.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	var total int64
	err = fs.WalkDir(builtin.Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == models.ManifestName {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		got = append(got, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range b.Manifest.Files {
		want = append(want, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("embedded files are %v, the manifest lists %v", got, want)
	}
	for _, name := range []string{"LICENSE", "NOTICE"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is not embedded", name)
		}
	}
	if total > maxBytes {
		t.Errorf("the bundle has %d bytes, want at most %d", total, maxBytes)
	}
}

// TestSpanHead reads the header of the safetensors file that training/ writes:
// an 8-byte length, then JSON.
func TestSpanHead(t *testing.T) {
	b, err := builtin.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	head, ok := b.Head(models.HeadSpan)
	if !ok {
		t.Fatal("no span head")
	}
	data, err := b.ReadFile(head.File)
	if err != nil {
		t.Fatal(err)
	}
	size := binary.LittleEndian.Uint64(data)
	var header map[string]struct {
		DType string `json:"dtype"`
		Shape []int  `json:"shape"`
	}
	if err := json.Unmarshal(data[8:8+size], &header); err != nil {
		t.Fatal(err)
	}
	shapes := map[string][]int{"weight": {2, b.Manifest.HiddenSize}, "bias": {2}}
	for name, want := range shapes {
		if got := header[name]; got.DType != "F32" || !slices.Equal(got.Shape, want) {
			t.Errorf("%s is %s %v, want F32 %v", name, got.DType, got.Shape, want)
		}
	}
}

func BenchmarkReadGraph(b *testing.B) {
	bundle, err := builtin.Bundle()
	if err != nil {
		b.Fatal(err)
	}
	name := bundle.Manifest.Graphs["int8"]
	b.SetBytes(bundle.Manifest.Files[name].Bytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bundle.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	}
}
