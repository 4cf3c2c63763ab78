package bleve

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/needle-search/needle/retriever"
)

// Metadata and groups become terms of one field. A term is the metadata key, a
// NUL (keys and values are free of it), a letter and the value:
//
//	key NUL 'e'               the field exists
//	key NUL 'k' text          keyword
//	key NUL 'b' 0|1           boolean
//	key NUL 'n' level bytes   number or date, at eight levels of precision
//	NUL 'r'                   the document is restricted to groups
//	NUL 'g' group             one of its groups
//
// A number has a term for each level: at level l its lowest l bytes are left
// out. A range is then a few hundred terms at most, however many values lie in
// it (as in Lucene's prefix-coded numeric fields).
const (
	tagExists  = 'e'
	tagKeyword = 'k'
	tagBoolean = 'b'
	tagNumber  = 'n'

	termRestricted = "\x00r"
	prefixGroup    = "\x00g"
)

// numberLevels is the number of precisions of a number: one a byte.
const numberLevels = 8

func taggedPrefix(key string, tag byte) string { return key + "\x00" + string(tag) }

func existsTerm(key string) string        { return taggedPrefix(key, tagExists) }
func keywordTerm(key, text string) string { return taggedPrefix(key, tagKeyword) + text }

func booleanTerm(key string, b bool) string {
	if b {
		return taggedPrefix(key, tagBoolean) + "1"
	}
	return taggedPrefix(key, tagBoolean) + "0"
}

// numberTerm returns the term of an encoded number without its lowest level
// bytes.
func numberTerm(key string, encoded uint64, level int) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], encoded)
	return taggedPrefix(key, tagNumber) + string(rune('0'+level)) + string(b[:8-level])
}

// encodeFloat maps numbers to integers of the same order. Minus zero is zero.
func encodeFloat(f float64) uint64 {
	if f == 0 {
		f = 0 // drops the sign
	}
	bits := math.Float64bits(f)
	if bits>>63 != 0 {
		return ^bits
	}
	return bits | 1<<63
}

// encodeTime maps instants to integers of the same order, exact to one
// microsecond; nanoseconds would not reach beyond the year 2262.
func encodeTime(t time.Time) uint64 { return uint64(t.UnixMicro()) ^ 1<<63 }

// filterTerms returns the filter terms of a valid document and the types of its
// metadata fields.
func filterTerms(d *retriever.Document) ([]string, map[string]retriever.FieldType) {
	var terms []string
	types := make(map[string]retriever.FieldType, len(d.Metadata))
	for key, v := range d.Metadata {
		types[key], _ = retriever.TypeOf(v)
		terms = append(terms, existsTerm(key))
		switch v := v.(type) {
		case string:
			terms = append(terms, keywordTerm(key, v))
		case []string:
			for _, s := range v {
				terms = append(terms, keywordTerm(key, s))
			}
		case bool:
			terms = append(terms, booleanTerm(key, v))
		case int64:
			terms = appendNumber(terms, key, encodeFloat(float64(v)))
		case float64:
			terms = appendNumber(terms, key, encodeFloat(v))
		case time.Time:
			terms = appendNumber(terms, key, encodeTime(v))
		}
	}
	if len(d.Groups) > 0 {
		terms = append(terms, termRestricted)
	}
	for _, group := range d.Groups {
		terms = append(terms, prefixGroup+group)
	}
	return terms, types
}

func appendNumber(terms []string, key string, encoded uint64) []string {
	for level := range numberLevels {
		terms = append(terms, numberTerm(key, encoded, level))
	}
	return terms
}
