package modelstest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/models"
)

// TokenizerTexts are texts that every tokenizer must bear; use them as seeds
// of fuzz targets.
func TokenizerTexts() []string {
	return []string{
		"", " ", "\n", "a", "The quick brown fox jumps over the lazy dog.",
		"Zürich, Ærøskøbing & Kraków: 12.5 % – naïve façade", "cafe\u0301 re\u0301sume\u0301", "İstanbul ıssız STRASSE straße ﬁn",
		"東京都は日本の首都です。", "한국어 문장입니다.", "Привет, мир! Ёлка", "Ελληνικά άέήίόύώ ΐ", "שָׁלוֹם עולם", "اَلْعَرَبِيَّةُ",
		"हिन्दी में क़ ख़", "ภาษาไทยน้ำ", "தமிழ் மொழி", "ქართული ენა", "👩‍👩‍👧‍👦 🇩🇪 ❤️ 🏽",
		"zero\u200bwidth\ufeff\u00adsoft", "nul\x00byte \x01\x02\x7f\u0085", "tab\tnew\r\nline\v\f\u2028\u2029\u00a0\u3000end",
		"[CLS] a [SEP] b [MASK] [PAD] [UNK] <s> </s> <unk> <mask>", "[SEP", "##ing ## # ▁▁ Ġ",
		strings.Repeat("a", 101), strings.Repeat("ab", 4000), strings.Repeat("\u0301", 300), strings.Repeat("!?", 500), strings.Repeat(" ", 3000),
		"\xff", "a\xffb\xc3(\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\ufffd \ufffe \U0010ffff \ue000",
		"\u302e\u0f74\u0323\U0001d165\u0334", "don't I'LL they've 3rd 1,000,000.00", "   leading and trailing   ",
	}
}

// TestTokenizer checks what models.Tokenizer promises. Any implementation
// passes it, whatever its vocabulary.
func TestTokenizer(t *testing.T, tok models.Tokenizer) {
	t.Run("tokens", func(t *testing.T) {
		for _, text := range TokenizerTexts() {
			CheckTokens(t, tok, text)
		}
	})
	t.Run("invalid bytes are one code point each", func(t *testing.T) { testInvalidBytes(t, tok) })
	t.Run("same text, same tokens, from many goroutines", func(t *testing.T) { testConcurrentTokenize(t, tok) })
	t.Run("single", func(t *testing.T) { testSingle(t, tok) })
	t.Run("pair", func(t *testing.T) { testPair(t, tok) })
	t.Run("question too long", func(t *testing.T) { testQuestionTooLong(t, tok) })
}

// CheckTokens checks the tokens of one text: ids inside the vocabulary, offsets
// inside the text and in order.
func CheckTokens(t testing.TB, tok models.Tokenizer, text string) {
	t.Helper()
	got := tok.Tokenize(text)
	if len(got.IDs) != len(got.Offsets) {
		t.Fatalf("Tokenize(%.40q) gives %d ids and %d offsets", text, len(got.IDs), len(got.Offsets))
	}
	length := int32(utf8.RuneCountInString(text))
	last := models.Offset{}
	for i, o := range got.Offsets {
		if id := got.IDs[i]; id < 0 || int(id) >= tok.VocabularySize() {
			t.Fatalf("Tokenize(%.40q): token %d has the id %d, want it in [0, %d)", text, i, id, tok.VocabularySize())
		}
		if o.Start < 0 || o.End < o.Start || o.End > length {
			t.Fatalf("Tokenize(%.40q): token %d has the offsets %v in a text of %d code points", text, i, o, length)
		}
		// The tokens of one character share its place, so only going back is wrong.
		if o.Start < last.Start || o.End < last.End {
			t.Fatalf("Tokenize(%.40q): token %d has the offsets %v after %v", text, i, o, last)
		}
		last = o
	}
}

func testInvalidBytes(t *testing.T, tok models.Tokenizer) {
	for _, text := range TokenizerTexts() {
		if utf8.ValidString(text) {
			continue
		}
		var valid strings.Builder
		for _, r := range text {
			valid.WriteRune(r)
		}
		got, want := tok.Tokenize(text), tok.Tokenize(valid.String())
		if !equalTokens(got, want) {
			t.Errorf("Tokenize(%q) = %v, want that of %q: %v", text, got, valid.String(), want)
		}
	}
}

func equalTokens(a, b models.Tokens) bool {
	return slices.Equal(a.IDs, b.IDs) && slices.Equal(a.Offsets, b.Offsets)
}

func testConcurrentTokenize(t *testing.T, tok models.Tokenizer) {
	var want []models.Tokens
	for _, text := range TokenizerTexts() {
		want = append(want, tok.Tokenize(text))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i, text := range TokenizerTexts() {
				if got := tok.Tokenize(text); !equalTokens(got, want[i]) {
					t.Errorf("Tokenize(%.40q) changed from %v to %v", text, want[i], got)
				}
			}
		})
	}
	wg.Wait()
}

func checkEncoding(t testing.TB, e models.Encoding, maxLength int) {
	t.Helper()
	n := len(e.IDs)
	if n > maxLength || len(e.TypeIDs) != n || len(e.Sequences) != n || len(e.Offsets) != n {
		t.Fatalf("an encoding has %d ids, %d type ids, %d sequences, %d offsets; want equal numbers, at most %d",
			n, len(e.TypeIDs), len(e.Sequences), len(e.Offsets), maxLength)
	}
	if e.First < 0 || e.Last < e.First || e.Last > n {
		t.Fatalf("an encoding of %d tokens has its text at [%d, %d)", n, e.First, e.Last)
	}
	for i, s := range e.Sequences {
		if s == models.SequenceSpecial && e.Offsets[i] != (models.Offset{}) {
			t.Fatalf("special token %d has the offsets %v, want {0 0}", i, e.Offsets[i])
		}
	}
}

func testSingle(t *testing.T, tok models.Tokenizer) {
	for _, text := range TokenizerTexts() {
		tokens := tok.Tokenize(text)
		for _, maxLength := range []int{8, 32, 100000} {
			e, err := tok.Single(tokens, maxLength)
			if err != nil {
				t.Fatalf("Single(%.40q, %d): %v", text, maxLength, err)
			}
			checkEncoding(t, e, maxLength)
			n := e.Last - e.First
			if !slices.Equal(e.IDs[e.First:e.Last], tokens.IDs[:n]) {
				t.Fatalf("Single(%.40q, %d) holds %v, want the first of %v", text, maxLength, e.IDs[e.First:e.Last], tokens.IDs)
			}
			if want := n < tokens.Len(); e.Truncated != want || want && e.Len() != maxLength {
				t.Fatalf("Single(%.40q, %d): Truncated is %t with %d of %d tokens, %d with special ones", text, maxLength, e.Truncated, n, tokens.Len(), e.Len())
			}
		}
	}
}

func testPair(t *testing.T, tok models.Tokenizer) {
	question := tok.Tokenize("who?")
	for _, text := range TokenizerTexts() {
		for _, c := range []struct{ maxLength, stride int }{{32, 0}, {32, 8}, {384, 128}} {
			CheckPair(t, tok, question, tok.Tokenize(text), c.maxLength, c.stride)
		}
	}
}

// CheckPair checks that windows hold the question, cover every token of the
// passage and overlap by the stride.
func CheckPair(t testing.TB, tok models.Tokenizer, question, passage models.Tokens, maxLength, stride int) {
	t.Helper()
	windows, err := tok.Pair(question, passage, maxLength, stride)
	if err != nil {
		t.Fatalf("Pair(%d tokens, %d tokens, %d, %d): %v", question.Len(), passage.Len(), maxLength, stride, err)
	}
	covered := 0
	for i, w := range windows {
		checkEncoding(t, w, maxLength)
		if w.Truncated {
			t.Errorf("window %d is marked as truncated", i)
		}
		from := 0
		if i > 0 {
			from = covered - stride
		}
		part := w.IDs[w.First:w.Last]
		if from < 0 || from+len(part) > passage.Len() || !slices.Equal(part, passage.IDs[from:from+len(part)]) ||
			!slices.Equal(w.Offsets[w.First:w.Last], passage.Offsets[from:from+len(part)]) {
			t.Fatalf("window %d holds %v, want tokens %d to %d of the passage", i, part, from, from+len(part))
		}
		if to := from + len(part); i > 0 && to <= covered || i < len(windows)-1 && w.Len() != maxLength {
			t.Fatalf("window %d ends at token %d after %d and has %d tokens of %d", i, to, covered, w.Len(), maxLength)
		}
		covered = from + len(part)
		var asked []int32
		for k, s := range w.Sequences {
			if s == models.SequenceFirst {
				asked = append(asked, w.IDs[k])
			}
			if inside := k >= w.First && k < w.Last; inside != (s == models.SequenceSecond) {
				t.Fatalf("window %d: token %d has the sequence %d with the passage at [%d, %d)", i, k, s, w.First, w.Last)
			}
		}
		if !slices.Equal(asked, question.IDs) {
			t.Fatalf("window %d holds the question %v, want %v", i, asked, question.IDs)
		}
	}
	if covered != passage.Len() {
		t.Fatalf("%d windows cover %d tokens of %d", len(windows), covered, passage.Len())
	}
}

func testQuestionTooLong(t *testing.T, tok models.Tokenizer) {
	question, passage := tok.Tokenize(strings.Repeat("who ", 100)), tok.Tokenize("a b c")
	if _, err := tok.Pair(question, passage, 32, 8); !errors.Is(err, models.ErrQuestionTooLong) {
		t.Errorf("Pair with a question of %d tokens and 32 at most: error is %v, want ErrQuestionTooLong", question.Len(), err)
	}
	// The passage is short, but the promise is about the question alone.
	question = tok.Tokenize("who?")
	e, err := tok.Pair(question, models.Tokens{}, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	least := e[0].Len()
	if _, err := tok.Pair(question, models.Tokens{}, least+8, 8); !errors.Is(err, models.ErrQuestionTooLong) {
		t.Errorf("Pair with room for 8 tokens and a stride of 8: error is %v, want ErrQuestionTooLong", err)
	}
	if _, err := tok.Pair(question, models.Tokens{}, least+9, 8); err != nil {
		t.Errorf("Pair with room for 9 tokens and a stride of 8: %v", err)
	}
}
