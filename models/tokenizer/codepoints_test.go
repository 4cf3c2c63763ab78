package tokenizer_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/needle-search/needle/models/tokenizer"
)

// excludedCodePoints lists code points that this package treats differently
// from the library because of different versions of Unicode. There are none:
// the tables are the library's.
var excludedCodePoints = [0]rune{}

// TestEveryCodePoint compares the output of each normalizer for all code points
// with the library's, by hash; testdata/codepoints.py makes the file anew.
func TestEveryCodePoint(t *testing.T) {
	if testing.Short() {
		t.Skip("all code points with all normalizers take seconds")
	}
	data, err := os.ReadFile(filepath.Join(goldenDir, "codepoints.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Tokenizer   map[string]json.RawMessage
		Normalizers []struct {
			Name, SHA256 string
			Normalizer   json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Normalizers) < 10 || len(excludedCodePoints) > 0 {
		t.Fatalf("codepoints.json holds %d normalizers, and %d code points are excluded", len(golden.Normalizers), len(excludedCodePoints))
	}
	for _, n := range golden.Normalizers {
		t.Run(n.Name, func(t *testing.T) {
			if raceDetector && n.Name != "accents" {
				t.Skip("the race detector is on: only one normalizer goes through all code points")
			}
			golden.Tokenizer["normalizer"] = n.Normalizer
			data, err := json.Marshal(golden.Tokenizer)
			if err != nil {
				t.Fatal(err)
			}
			tok, err := tokenizer.Load(data)
			if err != nil {
				t.Fatal(err)
			}
			digest, row := sha256.New(), make([]byte, 12)
			for block := rune(0); block < 0x110000; block += 64 {
				if block >= 0xD800 && block < 0xE000 {
					continue // surrogates are no characters
				}
				tokens := tok.Tokenize(blockText(block))
				for i, id := range tokens.IDs {
					binary.LittleEndian.PutUint32(row, uint32(id))
					binary.LittleEndian.PutUint32(row[4:], uint32(tokens.Offsets[i].Start))
					binary.LittleEndian.PutUint32(row[8:], uint32(tokens.Offsets[i].End))
					digest.Write(row)
				}
			}
			if got := hex.EncodeToString(digest.Sum(nil)); got != n.SHA256 {
				t.Errorf("the tokens of all code points have the hash %s, want %s", got, n.SHA256)
			}
		})
	}
}

// blockText holds 64 code points, each between letters and around a mark; in
// planes that hold no characters all stand together.
func blockText(block rune) string {
	text := []rune{'x'}
	if block >= 0x32000 && (block < 0xE0000 || block >= 0xE1000) {
		for r := block; r < block+64; r++ {
			text = append(text, r)
		}
		return string(append(text, 'y'))
	}
	text = text[:0]
	for r := block; r < block+64; r++ {
		text = append(text, 'x', r, 'y', ' ', r, 0x301, r, ' ')
	}
	return string(text)
}
