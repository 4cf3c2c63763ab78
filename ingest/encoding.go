package ingest

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode/utf32"
)

// guessBytes is how much of a file a guess looks at, from the first byte on
// that is not ASCII.
const guessBytes = 32 << 10

// DecodeBytes returns text in an encoding that is not Unicode, and the name of
// the encoding. The declared one (the label of a web page, a mail, a database)
// is tried first, if there is one; otherwise the bytes decide. It reports false
// if no encoding makes sense of them.
func DecodeBytes(data []byte, declared string) (text, name string, ok bool) {
	if declared != "" {
		if e, err := htmlindex.Get(declared); err == nil {
			if name, err = htmlindex.Name(e); err == nil {
				if text, ok = decodeWith(e, data); ok {
					return text, name, true
				}
			}
		}
	}
	window := data
	if start := bytes.IndexFunc(data, func(r rune) bool { return r >= utf8.RuneSelf }); start > 0 {
		window = data[start-min(start, 64):]
	}
	if len(window) > guessBytes {
		window = window[:guessBytes]
		if end := bytes.LastIndexAny(window, "\r\n "); end > guessBytes/2 {
			window = window[:end] // not within a character of several bytes
		}
	}
	for _, label := range candidates(window) {
		e := named(label)
		if e == nil {
			continue
		}
		if text, ok = decodeWith(e, data); ok {
			return text, label, true
		}
	}
	return "", "", false
}

func named(label string) encoding.Encoding {
	switch label {
	case "cp437":
		return charmap.CodePage437
	case "cp850":
		return charmap.CodePage850
	case "cp852":
		return charmap.CodePage852
	}
	e, err := htmlindex.Get(label)
	if err != nil {
		return nil
	}
	return e
}

// decodeWith decodes strictly: what is no character of the encoding, and the
// control characters that most encodings have where others have letters, say
// that it is another one.
func decodeWith(e encoding.Encoding, data []byte) (string, bool) {
	decoded, err := e.NewDecoder().Bytes(data)
	if err != nil {
		return "", false
	}
	for _, r := range string(decoded) {
		if r == utf8.RuneError || r >= 0x80 && r < 0xA0 && r != 0x85 {
			return "", false
		}
	}
	return string(decoded), true
}

// candidates returns the encodings that the bytes may be in, the likeliest
// first. What has a grammar (the encodings of East Asia) or letters of one
// script is left to the detector; the Latin ones, which it knows badly, and
// the Arabic ones, which it does not, are told apart by their letters.
func candidates(window []byte) []string {
	guess := chardet.Detect(window)
	label := strings.ToLower(guess.Encoding)
	switch label {
	case "gb2312", "gbk", "gb18030", "hz-gb-2312":
		return []string{"gb18030"} // which holds all of the older ones
	case "tis-620", "iso-8859-11":
		return []string{"windows-874"}
	case "cp949", "euc-kr", "uhc":
		return []string{"euc-kr"}
	case "koi8-r":
		// The letters of Ukrainian are lines of boxes in KOI8-R.
		return []string{"koi8-u", "koi8-r"}
	case "cp932":
		label = "shift_jis"
	case "maccyrillic":
		label = "x-mac-cyrillic"
	}
	switch {
	case strings.HasPrefix(label, "iso-2022"), label == "shift_jis", label == "euc-jp", label == "big5", label == "euc-tw":
		return []string{label}
	case guess.Confidence >= 0.8 && !latinLabel(label):
		return append([]string{label}, byLetters(window)...)
	}
	return byLetters(window)
}

func latinLabel(label string) bool {
	switch label {
	case "", "ascii", "utf-8", "iso-8859-1", "iso-8859-15", "iso-8859-9", "iso-8859-2", "windows-1252", "windows-1254", "windows-1250", "macroman":
		return true
	}
	return false
}

// alphabets are the letters beyond ASCII of languages, lower case, with those
// of loan words that are common.
var alphabets = [...]string{
	"äöüßéèàç", "àâæçéèêëîïôœùûüÿ", "áéíñóúüçªº", "áâãàçéêíóôõúü", "àèéìíîòóùú", "åäöéæøü", "áðéíóúýþæö",
	"ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšžáé", "ąčęėįšųūž", "āčēģīķļņšūž",
	"äõöüšž", "çğıiöşüâîû", "ëçâêô", "ċġħżàèìòù",
}

// singleByte are the encodings that are told apart by their letters. The order
// decides between equals: what Windows wrote is more common.
var singleByte = [...]string{
	"windows-1252", "windows-1250", "windows-1254", "windows-1257", "iso-8859-2", "iso-8859-13", "iso-8859-16", "iso-8859-15",
	"windows-1256", "iso-8859-6", "macintosh", "cp850", "cp852", "cp437",
}

// byLetters orders the single-byte encodings by how well the text makes sense
// in them: its letters beyond ASCII belong to one alphabet, they stand among
// letters, and capitals do not follow small letters.
func byLetters(window []byte) []string {
	type scored struct {
		label string
		score float64
	}
	var list []scored
	for _, label := range singleByte {
		e := named(label)
		if e == nil {
			continue
		}
		text, ok := decodeWith(e, window)
		if !ok {
			continue
		}
		s := scored{label, sense(text)}
		at := len(list)
		for at > 0 && list[at-1].score < s.score {
			at--
		}
		list = append(list[:at], append([]scored{s}, list[at:]...)...)
	}
	labels := make([]string, len(list))
	for i, s := range list {
		labels[i] = s.label
	}
	return labels
}

// sense returns the share of characters beyond ASCII that make sense, 0 to 1.
func sense(text string) float64 {
	var in [len(alphabets)]int
	good, total := 0.0, 0
	other := 0 // letters that are of no Latin alphabet
	previous := ' '
	runes := []rune(text)
	for i, r := range runes {
		if r < 0x80 {
			previous = r
			continue
		}
		total++
		next := ' '
		if i+1 < len(runes) {
			next = runes[i+1]
		}
		within := unicode.IsLetter(previous) && unicode.IsLetter(next)
		switch {
		case unicode.Is(unicode.Arabic, r):
			other++
		case unicode.IsUpper(r) && unicode.IsLower(previous):
			// No word has one there.
		case unicode.IsLetter(r):
			lower := unicode.ToLower(r)
			for a, alphabet := range alphabets {
				if strings.ContainsRune(alphabet, lower) {
					in[a]++
				}
			}
		case within && r != '’' && r != '·' && r != '\u00AD':
			// A sign within a word.
		case strings.ContainsRune("“”„‘’‚–—…•€£©®°§«»¿¡´·№\u00a0\u00AD²³½¼±×µ¶†‹›™¥¢،؛؟", r):
			good++
		default:
			good += 0.3 // lines of boxes, fractions, other signs
		}
		previous = r
	}
	if total == 0 {
		return 1
	}
	best := 0
	for _, n := range in {
		best = max(best, n)
	}
	return (good + float64(max(best, other))) / float64(total)
}

// decodeWide decodes UTF-16 and UTF-32 that no mark announces, which most of
// its bytes being NUL gives away, and UTF-32 with a mark.
func decodeWide(data []byte) (text string, offset int, ok bool) {
	switch {
	case bytes.HasPrefix(data, []byte("\xFF\xFE\x00\x00")), bytes.HasPrefix(data, []byte("\x00\x00\xFE\xFF")):
		text, ok = decodeWith(utf32.UTF32(utf32.BigEndian, utf32.ExpectBOM), data)
		return text, 1, ok
	}
	var zeros [4]int
	head := data[:min(len(data), HeadBytes)&^3]
	for i, c := range head {
		if c == 0 {
			zeros[i&3]++
		}
	}
	quarter := len(head) / 4
	most := func(n int) bool { return quarter > 0 && 10*n >= 7*quarter }
	none := func(n int) bool { return 50*n <= quarter }
	switch {
	case most(zeros[0]) && most(zeros[1]) && most(zeros[2]) && none(zeros[3]):
		text, ok = decodeWith(utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM), data)
	case none(zeros[0]) && most(zeros[1]) && most(zeros[2]) && most(zeros[3]):
		text, ok = decodeWith(utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM), data)
	case most(zeros[0]) && none(zeros[1]) && most(zeros[2]) && none(zeros[3]):
		text, ok = decodePairs(data, binary.BigEndian)
	case none(zeros[0]) && most(zeros[1]) && none(zeros[2]) && most(zeros[3]):
		text, ok = decodePairs(data, binary.LittleEndian)
	}
	return text, 0, ok
}

func decodePairs(data []byte, order binary.ByteOrder) (string, bool) {
	text, err := decodeUTF16(data, order)
	return text, err == nil
}
