package bleve

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/lang/cjk"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
)

// analyser turns text into terms as a Bleve analyzer does, faster where it can:
// words of ASCII are found without the general segmenter, and what a word
// becomes (a stem, or nothing) is remembered. It is safe for concurrent use.
type analyser struct {
	full analysis.Analyzer
	// words is full if its filters look at one token at a time, else nil.
	words *analysis.DefaultAnalyzer
	seed  maphash.Seed
	known [knownWords]atomic.Pointer[knownWord]
	// counters are reused.
	counters sync.Pool // of *termCounter
}

// counter returns an empty counter, to be put back after use.
func (a *analyser) counter() *termCounter {
	if c, ok := a.counters.Get().(*termCounter); ok {
		return c
	}
	return &termCounter{}
}

// knownWords bounds how many words are remembered: more than a text of one
// subject has, and at most a few megabytes. It is even: a word may lie in either
// of two places.
const knownWords = 1 << 16

// knownWord is what a word becomes: mostly one term or none.
type knownWord struct {
	word  string
	terms []string
}

// newAnalyser makes the analyser that an index records; see analyzerName.
func newAnalyser(name string) (*analyser, error) {
	full, err := newAnalyzer(name)
	if err != nil {
		return nil, err
	}
	a := &analyser{full: full, seed: maphash.MakeSeed()}
	d, ok := full.(*analysis.DefaultAnalyzer)
	if !ok || len(d.CharFilters) > 0 || name == cjk.AnalyzerName {
		// Bigrams of CJK depend on neighbours, and character filters on more.
		return a, nil
	}
	if _, ok := d.Tokenizer.(*unicode.UnicodeTokenizer); ok {
		a.words = d
	}
	return a, nil
}

// each calls use with every term of a text, in order. A term must not be
// changed, and may be kept.
func (a *analyser) each(text string, use func(term string)) {
	if a.words == nil {
		for _, token := range a.full.Analyze([]byte(text)) {
			use(string(token.Term))
		}
		return
	}
	// Words end at a space, whatever the script.
	for len(text) > 0 {
		end, ascii := 0, true
		for ; end < len(text) && !isSpace(text[end]); end++ {
			ascii = ascii && text[end] < 0x80
		}
		stretch := text[:end]
		text = text[min(end+1, len(text)):]
		switch {
		case stretch == "":
		case ascii:
			a.eachASCII(stretch, use)
		default:
			for _, token := range a.words.Tokenizer.Tokenize([]byte(stretch)) {
				a.word(string(token.Term), use)
			}
		}
	}
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' }

// eachASCII splits ASCII text into words by the rules of Unicode's annex 29 as
// far as they concern ASCII.
func (a *analyser) eachASCII(text string, use func(term string)) {
	for i := 0; i < len(text); {
		if !inWord(text[i]) {
			i++
			continue
		}
		start := i
		for i++; i < len(text); i++ {
			if inWord(text[i]) {
				continue
			}
			// One mark between two letters, or between two digits, is part of the
			// word.
			if i+1 == len(text) || !joins(text[i-1], text[i], text[i+1]) {
				break
			}
		}
		a.word(text[start:i], use)
	}
}

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
func isDigit(b byte) bool  { return b >= '0' && b <= '9' }
func inWord(b byte) bool   { return isLetter(b) || isDigit(b) || b == '_' }

func joins(before, mark, after byte) bool {
	switch mark {
	case '.', '\'':
		return isLetter(before) && isLetter(after) || isDigit(before) && isDigit(after)
	case ':':
		return isLetter(before) && isLetter(after)
	case ',', ';':
		return isDigit(before) && isDigit(after)
	}
	return false
}

// word calls use with what a word becomes.
func (a *analyser) word(word string, use func(term string)) {
	at := maphash.String(a.seed, word) % knownWords
	k := a.known[at].Load()
	if k == nil || k.word != word {
		other := a.known[at^1].Load()
		if other == nil || other.word != word {
			if other = a.learn(word); k != nil {
				a.known[at^1].Store(k)
			}
			a.known[at].Store(other)
		}
		k = other
	}
	for _, term := range k.terms {
		use(term)
	}
}

func (a *analyser) learn(word string) *knownWord {
	// Copied, so that a short word does not keep a long text in memory.
	term := []byte(word)
	tokens := analysis.TokenStream{{Term: slices.Clone(term), Start: 0, End: len(term), Position: 1}}
	for _, filter := range a.words.TokenFilters {
		tokens = filter.Filter(tokens)
	}
	k := &knownWord{word: string(term)}
	for _, token := range tokens {
		k.terms = append(k.terms, string(token.Term))
	}
	return k
}
