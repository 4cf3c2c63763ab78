package onnx_test

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/models/tokenizer"
)

// goldenPath is what training/parity.py writes; its README has the format.
const goldenPath = "training/testdata/parity.jsonl.gz"

// parityTolerance is the greatest difference of a logit.
const parityTolerance = 1e-4

type goldenHeader struct {
	Format     int    `json:"format"`
	Checkpoint string `json:"checkpoint"`
	MaxLength  int    `json:"max_length"`
	Stride     int    `json:"stride"`
	Pairs      int    `json:"pairs"`
	Windows    int    `json:"windows"`
}

type goldenPair struct {
	File    string         `json:"file"`
	ID      string         `json:"id"`
	Windows []goldenWindow `json:"windows"`
}

type goldenWindow struct {
	Tokens int    `json:"tokens"`
	First  int    `json:"first"`
	Last   int    `json:"last"`
	CRC    uint32 `json:"ids_crc32"`
	Start  string `json:"start"`
	End    string `json:"end"`
}

func readGolden(t *testing.T, path string) (goldenHeader, []goldenPair) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bufio.NewReader(unpacked))
	var header goldenHeader
	if err := decoder.Decode(&header); err != nil {
		t.Fatal(err)
	}
	if header.Format != 1 {
		t.Fatalf("%s has format %d, want 1", path, header.Format)
	}
	var pairs []goldenPair
	for decoder.More() {
		var p goldenPair
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, p)
	}
	if len(pairs) != header.Pairs || len(pairs) < 1000 {
		t.Fatalf("%s has %d pairs, its header says %d, and 1000 are wanted", path, len(pairs), header.Pairs)
	}
	return header, pairs
}

type question struct{ question, passage string }

// readSquad returns the questions of a file by id.
func readSquad(t *testing.T, path string) map[string]question {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Data []struct {
			Paragraphs []struct {
				Context string `json:"context"`
				QAs     []struct {
					ID       string `json:"id"`
					Question string `json:"question"`
				} `json:"qas"`
			} `json:"paragraphs"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	found := map[string]question{}
	for _, article := range file.Data {
		for _, p := range article.Paragraphs {
			for _, qa := range p.QAs {
				found[qa.ID] = question{qa.Question, p.Context}
			}
		}
	}
	return found
}

func unpack(text string) ([]float32, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values, nil
}

func crc(ids []int32) uint32 {
	data := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		data = binary.LittleEndian.AppendUint32(data, uint32(id))
	}
	return crc32.ChecksumIEEE(data)
}

// TestParity holds the whole path of Go (tokenizer, windows, graph, head)
// against the logits that PyTorch computed with the same weights.
func TestParity(t *testing.T) {
	dir := os.Getenv("NEEDLE_FP32_BUNDLE")
	if dir == "" {
		testenv.Missing(t, false, "parity needs the fp32 bundle that training/export.py writes; set NEEDLE_FP32_BUNDLE to its folder")
	}
	shared := testenv.Shared(t)
	header, pairs := readGolden(t, filepath.Join(testenv.Root(t), goldenPath))
	bundle, err := models.ReadBundle(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if got := bundle.Manifest.Origin["checkpoint"]; got != header.Checkpoint {
		t.Fatalf("the bundle is of checkpoint %q, the golden file of %q", got, header.Checkpoint)
	}
	data, err := bundle.ReadFile(bundle.Manifest.Tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	spec, ok := bundle.Head(models.HeadSpan)
	if !ok {
		t.Fatal("the bundle has no span head")
	}
	model := open(t, onnx.Config{Precision: onnx.PrecisionFP32, VocabularySize: tok.VocabularySize()}, bundle)
	service, err := infer.New(model, infer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	made, err := span.New(spec, bundle.ReadFile, model.Info().Width)
	if err != nil {
		t.Fatal(err)
	}
	head := made.(models.SpanHead)

	files := map[string]map[string]question{}
	windows, worst := 0, 0.0
	for _, pair := range pairs {
		if files[pair.File] == nil {
			files[pair.File] = readSquad(t, filepath.Join(shared, "data", filepath.FromSlash(pair.File)))
		}
		q, ok := files[pair.File][pair.ID]
		if !ok {
			t.Fatalf("%s has no question %s", pair.File, pair.ID)
		}
		encodings, err := tok.Pair(tok.Tokenize(q.question), tok.Tokenize(q.passage), header.MaxLength, header.Stride)
		if err != nil {
			t.Errorf("%s %s: %v", pair.File, pair.ID, err)
			continue
		}
		windows += len(encodings)
		difference, err := pairDifference(t, service, head, encodings, pair.Windows)
		if err != nil {
			t.Errorf("%s %s: %v", pair.File, pair.ID, err)
		}
		if difference > parityTolerance {
			t.Errorf("%s %s: logits differ by %.2g, want at most %.2g", pair.File, pair.ID, difference, parityTolerance)
		}
		worst = max(worst, difference)
	}
	if windows != header.Windows {
		t.Errorf("got %d windows, want %d", windows, header.Windows)
	}
	t.Logf("%d pairs, %d windows, greatest difference %.2g", len(pairs), windows, worst)
}

var errWindows = errors.New("windows (tokens, first, last or ids) differ")

// pairDifference returns the greatest difference of the logits of one pair.
func pairDifference(t *testing.T, service *infer.Service, head models.SpanHead, encodings []models.Encoding, want []goldenWindow) (float64, error) {
	same := func(e models.Encoding, w goldenWindow) bool {
		return e.Len() == w.Tokens && e.First == w.First && e.Last == w.Last && crc(e.IDs) == w.CRC
	}
	if !slices.EqualFunc(encodings, want, same) {
		return 0, errWindows
	}
	var mu sync.Mutex
	worst := 0.0
	err := service.Each(t.Context(), encodings, func(i int, outputs models.Outputs) error {
		logits, err := head.Spans(outputs, encodings[i])
		if err != nil {
			return err
		}
		start, err := unpack(want[i].Start)
		if err != nil {
			return err
		}
		end, err := unpack(want[i].End)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		worst = max(worst, distance(logits.Start, start), distance(logits.End, end))
		return nil
	})
	return worst, err
}

func distance(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		worst = max(worst, d)
	}
	return worst
}
