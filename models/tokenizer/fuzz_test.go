package tokenizer_test

import (
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
)

func FuzzTokenize(f *testing.F) {
	for _, text := range modelstest.TokenizerTexts() {
		f.Add(text)
	}
	tok := loadMiniLM(f)
	f.Fuzz(func(t *testing.T, text string) { modelstest.CheckTokens(t, tok, text) })
}

func FuzzPair(f *testing.F) {
	texts := modelstest.TokenizerTexts()
	for i, text := range texts {
		f.Add(texts[len(texts)-1-i], text, 32+i, i%9)
	}
	tok := loadMiniLM(f)
	f.Fuzz(func(t *testing.T, q, p string, maxLength, stride int) {
		question, passage := tok.Tokenize(q), tok.Tokenize(p)
		if _, err := tok.Pair(question, models.Tokens{}, maxLength, stride); err == nil {
			modelstest.CheckPair(t, tok, question, passage, maxLength, stride)
		} else if _, err := tok.Pair(question, passage, maxLength, stride); err == nil {
			t.Errorf("the error of Pair depends on the passage")
		}
	})
}
