package tokenizer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/models/tokenizer"
)

func golden(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(goldenDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLoadRefusesWhatItCannotReproduce(t *testing.T) {
	for _, tt := range []struct{ name, file, old, new, want string }{
		{"version", "bert-uncased", `"version":"1.0"`, `"version":"2.0"`, "version"},
		{"model", "bert-uncased", `"type":"WordPiece"`, `"type":"WordLevel"`, `model "WordLevel"`},
		{"normalizer", "bert-uncased", `"type":"BertNormalizer"`, `"type":"Nmt2"`, `normalizer "Nmt2"`},
		{"pre-tokenizer", "bert-uncased", `"type":"BertPreTokenizer"`, `"type":"Digits"`, `pre_tokenizer "Digits"`},
		{"post-processor", "bert-uncased", `"type":"TemplateProcessing"`, `"type":"Other"`, `"Other"`},
		{"dropout", "roberta", `"dropout":null`, `"dropout":0.1`, "dropout"},
		{"prefix", "roberta", `"continuing_subword_prefix":null`, `"continuing_subword_prefix":"##"`, "continuing_subword_prefix"},
		{"suffix", "roberta", `"end_of_word_suffix":null`, `"end_of_word_suffix":"</w>"`, "end_of_word_suffix"},
		{"BPE of characters", "roberta", `"type":"ByteLevel"`, `"type":"Metaspace"`, "pre_tokenizer"},
		{"a byte is missing", "roberta", `"vocab":{"<s>":0,`, `"vocab":{"<s>":0,"unused":`, "byte"},
		{"pattern", "deberta-v3", `{"Regex":" {2,}"}`, `{"Regex":"a+"}`, `"a+"`},
		{"charsmap", "xlm-roberta", `"precompiled_charsmap":"`, `"precompiled_charsmap":"!`, "precompiled_charsmap"},
		{"no unknown token", "xlm-roberta", `"unk_id":3`, `"unk_id":null`, "unk_id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := golden(t, tt.file+".json")
			file := strings.Replace(before, tt.old, tt.new, 1)
			if tt.name == "a byte is missing" {
				file = strings.Replace(before, `"Ā":`, `"ĀĀĀ":`, 1)
			}
			if file == before {
				t.Fatalf("%s does not hold %s", tt.file, tt.old)
			}
			_, err := tokenizer.Load([]byte(file))
			if !errors.Is(err, models.ErrUnsupportedTokenizer) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load: error is %v, want ErrUnsupportedTokenizer with %q", err, tt.want)
			}
		})
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	whole := golden(t, "bert-uncased.json")
	for name, data := range map[string]string{
		"empty":              "",
		"no object":          "[]",
		"cut":                whole[:len(whole)/2],
		"more after it":      whole + "{}",
		"not UTF-8":          strings.Replace(whole, `"[MASK]"`, "\"\xff\"", 1),
		"half a surrogate":   strings.Replace(whole, `"[MASK]"`, `"\ud800"`, 1),
		"brackets":           `{"x":` + strings.Repeat("[", 1<<20),
		"an id of letters":   strings.Replace(whole, `"vocab":{"[PAD]":0`, `"vocab":{"[PAD]":x`, 1),
		"an id too great":    strings.Replace(whole, `"vocab":{"[PAD]":0`, `"vocab":{"[PAD]":4294967296`, 1),
		"no unknown token":   strings.Replace(whole, `"unk_token":"[UNK]"`, `"unk_token":"none"`, 1),
		"template without B": strings.Replace(whole, `"Sequence":{"id":"B"`, `"Sequence":{"id":"A"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if data == whole {
				t.Fatal("the case changes nothing")
			}
			if tok, err := tokenizer.Load([]byte(data)); err == nil {
				t.Errorf("Load gives %T and no error", tok)
			}
		})
	}
}

func TestLoadKeepsNothingOfItsInput(t *testing.T) {
	data := []byte(golden(t, "roberta.json"))
	tok, err := tokenizer.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	before := tok.Tokenize("The quick brown fox")
	clear(data)
	after := tok.Tokenize("The quick brown fox")
	if got, want := format(after.IDs, after.Offsets, nil, nil), format(before.IDs, before.Offsets, nil, nil); got != want {
		t.Errorf("after the bytes were overwritten: %s, want %s", got, want)
	}
}

func TestSingleWithoutRoom(t *testing.T) {
	tok := loadFile(t, filepath.Join(goldenDir, "bert-uncased.json"))
	for _, maxLength := range []int{-1, 0, 2} {
		if e, err := tok.Single(tok.Tokenize("a b"), maxLength); err == nil {
			t.Errorf("Single with %d tokens at most gives %v and no error", maxLength, e)
		}
	}
	if _, err := tok.Pair(models.Tokens{}, models.Tokens{}, 100, -1); err == nil {
		t.Error("Pair with a stride of -1 gives no error")
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"bert-cased", "roberta", "xlm-roberta"} {
		f.Add([]byte(golden(f, name+".json")))
	}
	f.Add([]byte(`{"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1.5]]},"pre_tokenizer":{"type":"Metaspace","replacement":"_"}}`))
	f.Add([]byte(`{"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1,"##b":2}},"added_tokens":[{"id":3,"content":"x","normalized":true}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := tokenizer.Load(data)
		if err != nil {
			return
		}
		for _, text := range modelstest.TokenizerTexts() {
			tok.Tokenize(text)
		}
	})
}
