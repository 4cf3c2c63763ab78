package tokenizer_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
)

// libraryVersion is the version of the tokenizers library that ours equals.
const libraryVersion = "0.22.2"

// A library is a Python process that holds the tokenizers library.
type library struct {
	mu  sync.Mutex
	in  *json.Encoder
	out *bufio.Reader
}

// A question is what a library is asked; see testdata/library.py.
type question struct {
	Tokenizer string  `json:"tokenizer"`
	Text      *string `json:"text,omitempty"`
	Question  string  `json:"question"`
	Passage   string  `json:"passage"`
	MaxLength int     `json:"max_length"`
	Stride    int     `json:"stride"`
}

// startLibrary starts the Python that NEEDLE_PYTHON names, or python3, and skips
// the test where it has no tokenizers library of the right version.
func startLibrary(t testing.TB) *library {
	t.Helper()
	python, promised := os.LookupEnv("NEEDLE_PYTHON")
	if !promised {
		python = "python3"
	}
	command := exec.Command(python, "testdata/library.py", goldenDir, "minilm="+shared(t, "models/minilm-span/tokenizer.json"))
	command.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var stderr strings.Builder
	command.Stderr = &stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		testenv.Missing(t, promised, "no Python to compare with: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), command.Wait()); err != nil {
			t.Logf("the library ends: %v\n%s", err, &stderr)
		}
	})
	l := &library{in: json.NewEncoder(in), out: bufio.NewReader(out)}
	l.in.SetEscapeHTML(false)
	var hello struct{ Version string }
	line, err := l.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil || hello.Version != libraryVersion {
		testenv.Missing(t, promised, "%s has no tokenizers==%s (NEEDLE_PYTHON names another): version %q, %v", python, libraryVersion, hello.Version, err)
	}
	return l
}

// ask decodes the library's answer into a value.
func (l *library) ask(t testing.TB, q question, answer any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.in.Encode(q)
	var line []byte
	if err == nil {
		line, err = l.out.ReadBytes('\n')
	}
	if err == nil {
		err = json.Unmarshal(line, answer)
	}
	if errors.Is(err, io.EOF) {
		t.Fatalf("the library ended at %+v", q)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// compareText fails unless both cut a text in the same way.
func (l *library) compareText(t testing.TB, name string, tok models.Tokenizer, text string) {
	t.Helper()
	var want []int
	l.ask(t, question{Tokenizer: name, Text: &text}, &want)
	tokens := tok.Tokenize(text)
	if got := format(tokens.IDs, tokens.Offsets, nil, nil); got != numbers(want) {
		t.Errorf("%s: Tokenize(%+q)\n got %s\nwant %s", name, text, got, numbers(want))
	}
}

// comparePair fails unless both make the same windows of a pair.
func (l *library) comparePair(t testing.TB, name string, tok models.Tokenizer, asked, passage string, maxLength, stride int) {
	t.Helper()
	var want [][]int
	l.ask(t, question{Tokenizer: name, Question: asked, Passage: passage, MaxLength: maxLength, Stride: stride}, &want)
	windows, err := tok.Pair(tok.Tokenize(asked), tok.Tokenize(passage), maxLength, stride)
	if want == nil {
		if !errors.Is(err, models.ErrQuestionTooLong) {
			t.Errorf("%s: Pair(%+q, %+q, %d, %d): %v, want ErrQuestionTooLong", name, asked, passage, maxLength, stride, err)
		}
		return
	}
	if err != nil || len(windows) != len(want) {
		t.Errorf("%s: Pair(%+q, %+q, %d, %d) gives %d windows and %v, want %d", name, asked, passage, maxLength, stride, len(windows), err, len(want))
		return
	}
	for i, w := range windows {
		if got := format(w.IDs, w.Offsets, w.TypeIDs, w.Sequences); got != numbers(want[i]) {
			t.Errorf("%s: Pair(%+q, %+q, %d, %d), window %d\n got %s\nwant %s", name, asked, passage, maxLength, stride, i, got, numbers(want[i]))
		}
	}
}

func numbers(values []int) string {
	fields := make([]string, len(values))
	for i, v := range values {
		fields[i] = strconv.Itoa(v)
	}
	return strings.Join(fields, " ")
}

// everyTokenizer are those of testdata/golden and a trained one.
func everyTokenizer(t testing.TB) map[string]models.Tokenizer {
	all := small(t)
	all["minilm"] = loadMiniLM(t)
	return all
}

// inserted are code points that tokenizers treat in ways of their own.
var inserted = []rune("\u0300\u0301\u0308\u0323\u0327\u0334\u0345\u302a\u0f71\u0f72\u0f74\u3099\u309a\u093c\u094d\u0e33\u1161\u11a8" +
	" \t\n\r\u0085\u00a0\u2028\u3000\u200b\u200d\u200c\ufeff\u00ad\u0000\u0001\u007f\ufffd\ue000" +
	"▁#ĠĊ.,'’!?-–—/_0٣३①½ﬁŉǅIiİıſßẞςΣέ中ｱﾞ한ᄒ😀🏽🇩\U00010400\U0001d165\U000e0041")

// mutate changes a real text in a few places: characters are inserted, deleted,
// doubled, exchanged or put into the other case, and stretches of another text
// or special tokens are put in.
func mutate(random *rand.Rand, text, other string) string {
	runes, others := []rune(text), []rune(other)
	special := []string{"[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]", "<s>", "</s>", "<unk>", "<mask>", "<pad>", "newtok", "Über-Token", "<0x41>", "'s", "'ll", "##a"}
	for range 1 + random.IntN(5) {
		at := random.IntN(len(runes) + 1)
		end := min(at+1+random.IntN(6), len(runes))
		var middle []rune
		switch random.IntN(9) {
		case 0:
			middle = append([]rune{inserted[random.IntN(len(inserted))]}, runes[at:end]...)
		case 1: // deleted
		case 2:
			middle = append(slices.Clone(runes[at:end]), runes[at:end]...)
		case 3:
			middle = []rune(strings.ToUpper(string(runes[at:end])))
		case 4:
			middle = slices.Clone(runes[at:end])
			slices.Reverse(middle)
		case 5:
			if len(others) > 0 {
				from := random.IntN(len(others))
				middle = append(middle, others[from:min(from+1+random.IntN(20), len(others))]...)
			}
		case 6:
			token := special[random.IntN(len(special))]
			middle = []rune(token[:1+random.IntN(len(token))])
			if random.IntN(3) > 0 {
				middle = []rune(token)
			}
		case 7:
			for range 1 + random.IntN(5) {
				middle = append(middle, inserted[random.IntN(len(inserted))])
			}
		default:
			r := rune(random.IntN(0x110000))
			if r >= 0xD800 && r < 0xE000 || random.IntN(2) == 0 {
				r = rune(random.IntN(0x3100))
			}
			middle = append([]rune{r}, runes[at:end]...)
		}
		runes = slices.Concat(runes[:at], middle, runes[end:])
		if len(runes) > 600 {
			runes = runes[:600]
		}
	}
	return strings.ToValidUTF8(string(runes), "\ufffd")
}

// TestAgainstTheLibrary compares all kinds of tokenizers with Hugging Face's on
// mutated text. FuzzAgainstTheLibrary does so for as long as one likes.
func TestAgainstTheLibrary(t *testing.T) {
	l, texts := startLibrary(t), slices.Concat(goldenTexts(t), modelstest.TokenizerTexts())
	all := everyTokenizer(t)
	for i, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			pick := func() string {
				return mutate(random, texts[random.IntN(len(texts))], texts[random.IntN(len(texts))])
			}
			for k := range 400 {
				if t.Failed() {
					return // one difference at a time can be read
				}
				if k%5 > 0 {
					l.compareText(t, name, all[name], pick())
					continue
				}
				l.comparePair(t, name, all[name], pick(), pick(), 8+random.IntN(120), random.IntN(12))
			}
		})
	}
}

// FuzzAgainstTheLibrary looks for texts that our tokenizers cut in another way
// than Hugging Face's:
//
//	go test ./models/tokenizer -fuzz FuzzAgainstTheLibrary -fuzztime 10m
//
// NEEDLE_FUZZ_TOKENIZERS, a regular expression, leaves out those whose names do
// not match.
func FuzzAgainstTheLibrary(f *testing.F) {
	l, all := startLibrary(f), everyTokenizer(f)
	wanted, err := regexp.Compile(os.Getenv("NEEDLE_FUZZ_TOKENIZERS"))
	if err != nil {
		f.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(all))
	names = slices.DeleteFunc(names, func(name string) bool { return !wanted.MatchString(name) })
	if len(names) == 0 {
		f.Fatalf("no tokenizer matches %v", wanted)
	}
	for i, text := range slices.Concat(goldenTexts(f), modelstest.TokenizerTexts()) {
		f.Add(uint8(i), text, text, uint8(i), uint8(i%9))
	}
	f.Fuzz(func(t *testing.T, which uint8, text, passage string, maxLength, stride uint8) {
		name := names[int(which)%len(names)]
		// JSON carries no bytes that are not UTF-8; what these count as is
		// tested elsewhere.
		text, passage = strings.ToValidUTF8(text, "\ufffd"), strings.ToValidUTF8(passage, "\ufffd")
		if len(text)+len(passage) > 4000 {
			t.Skip("short texts find as much")
		}
		l.compareText(t, name, all[name], text)
		l.comparePair(t, name, all[name], text, passage, 8+int(maxLength), int(stride)%16)
	})
}
