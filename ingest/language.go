package ingest

import (
	"strings"
	"unicode"

	"github.com/RadhiFadlillah/whatlanggo"
)

// sampleRunes is how much is looked at in each of three places of a text: more
// does not make the guess better.
const sampleRunes = 700

// letters is how many letters a guess needs at least.
const letters = 12

// DetectLanguage guesses the language of a text and returns its BCP 47 tag
// ("en", "zh"), or "" if the text is too short or the guess not to be trusted.
// It tells some 80 languages apart, by script and by letter trigrams; close
// relatives that it does not know are taken for the neighbour (Slovak for
// Czech, Catalan for Spanish or French).
func DetectLanguage(text string) string {
	g := guessLanguage(sample(text))
	if !g.sure {
		return ""
	}
	return g.tag
}

// A guess is what a text says of its language.
type guess struct {
	tag        string
	letters    int
	confidence float64
	sure       bool // as far as longer text goes
	alphabet   bool // the script has many languages
}

func guessLanguage(text string) guess {
	var g guess
	kana := false
	for _, r := range text {
		if unicode.IsLetter(r) {
			g.letters++
			kana = kana || unicode.In(r, unicode.Hiragana, unicode.Katakana)
		}
	}
	info := whatlanggo.Detect(text)
	if info.Script == nil {
		return g
	}
	g.tag, g.confidence = tagOf(info.Lang), info.Confidence
	switch info.Script {
	case unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul:
		g.sure = g.letters >= letters/3
		if kana && info.Script == unicode.Han {
			// Japanese has more Chinese characters than its own in some texts.
			g.tag = "ja"
		}
	default:
		g.sure = g.letters >= letters && info.IsReliable()
		g.alphabet = info.Script == unicode.Latin || info.Script == unicode.Cyrillic
	}
	return g
}

// tagOf returns the shortest code, as BCP 47 wants it.
func tagOf(language whatlanggo.Lang) string {
	if tag := language.Iso6391(); tag != "" {
		return tag
	}
	return language.Iso6393()
}

// sample returns the start, the middle and the end of a text.
func sample(text string) string {
	const bytes = 4 * sampleRunes
	if len(text) <= 3*bytes {
		return text
	}
	var b strings.Builder
	for _, at := range [...]int{0, len(text)/2 - bytes/2, len(text) - bytes} {
		b.WriteString(strings.ToValidUTF8(text[at:at+bytes], ""))
		b.WriteByte('\n')
	}
	return b.String()
}

// QuestionLanguage is [DetectLanguage] for short text such as a question. Known
// are the languages that it is likely to be in; another is named only if the
// script cannot be theirs, or if the text is long enough and the guess certain.
func QuestionLanguage(text string, known []string) string {
	g := guessLanguage(text)
	switch {
	case len(known) == 0 || MatchesLanguage(g.tag, known):
		return ""
	case g.alphabet && (g.letters < questionLetters || g.confidence < questionConfidence):
		return ""
	}
	return g.tag
}

// The bounds for a guess on a question in Latin or Cyrillic letters. With them
// none of 6,073 questions of SQuAD 2.0 is taken for another language than
// English, and 87 % of 2,180 beginnings (60 characters) of paragraphs in 38
// other languages are.
const (
	questionLetters    = 20
	questionConfidence = 0.7
)

// MatchesLanguage reports whether a tag is one of the known ones, regions and
// scripts aside. An unknown language matches, and so does any if none are
// known.
func MatchesLanguage(tag string, known []string) bool {
	if tag == "" || len(known) == 0 {
		return true
	}
	for _, k := range known {
		if base(k) == base(tag) || k == "mul" || k == "und" {
			return true
		}
	}
	return false
}

// base returns the language of a tag, in lower case. The forms of Norwegian
// count as one.
func base(tag string) string {
	b, _, _ := strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	b = strings.ToLower(b)
	if b == "nb" || b == "nn" {
		return "no"
	}
	return b
}
