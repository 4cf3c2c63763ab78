package elastic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/needle-search/needle/retriever"
)

// Metadata becomes terms of one keyword field, because a field for every key
// would run into Elasticsearch's limit of fields and give keys with dots a
// meaning that they do not have. A term is the key, a NUL (keys and values are
// free of it), a letter and the value:
//
//	key NUL 'e'          the field exists
//	key NUL 'k' text     keyword
//	key NUL 'h' digest   keyword of more than longestKeyword bytes
//	key NUL 'b' 0|1      boolean
//	key NUL 'n' hex      number or date; the terms sort like the values
const (
	tagExists  = "\x00e"
	tagKeyword = "\x00k"
	tagDigest  = "\x00h"
	tagBoolean = "\x00b"
	tagNumber  = "\x00n"
)

// longestKeyword is the longest text that becomes a term as it is. Lucene
// refuses terms above 32 KB, and equality is all that is asked of a keyword.
const longestKeyword = 1024

func keywordTerm(key, text string) string {
	if len(text) > longestKeyword {
		digest := sha256.Sum256([]byte(text))
		return key + tagDigest + hex.EncodeToString(digest[:])
	}
	return key + tagKeyword + text
}

func booleanTerm(key string, b bool) string {
	if b {
		return key + tagBoolean + "1"
	}
	return key + tagBoolean + "0"
}

// floatTerm maps numbers to terms of the same order. Minus zero is zero.
func floatTerm(key string, f float64) string {
	if f == 0 {
		f = 0 // drops the sign
	}
	bits := math.Float64bits(f)
	if bits>>63 != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return numberTerm(key, bits)
}

// timeTerm maps instants to terms of the same order, exact to one microsecond;
// nanoseconds would not reach beyond the year 2262.
func timeTerm(key string, t time.Time) string {
	return numberTerm(key, uint64(t.UnixMicro())^1<<63)
}

func numberTerm(key string, n uint64) string { return key + tagNumber + fmt.Sprintf("%016x", n) }

// valueTerm returns the term of a value that [retriever.CoerceValue] returned.
func valueTerm(key string, v any) string {
	switch v := v.(type) {
	case string:
		return keywordTerm(key, v)
	case bool:
		return booleanTerm(key, v)
	case float64:
		return floatTerm(key, v)
	case time.Time:
		return timeTerm(key, v)
	}
	return ""
}

// metadataTerms returns the terms of a valid document's metadata and the types
// of its fields.
func metadataTerms(metadata map[string]any) ([]string, map[string]retriever.FieldType) {
	terms := make([]string, 0, 2*len(metadata))
	types := make(map[string]retriever.FieldType, len(metadata))
	for key, v := range metadata {
		types[key], _ = retriever.TypeOf(v)
		terms = append(terms, key+tagExists)
		switch v := v.(type) {
		case []string:
			for _, s := range v {
				terms = append(terms, keywordTerm(key, s))
			}
		case int64:
			terms = append(terms, floatTerm(key, float64(v)))
		default:
			terms = append(terms, valueTerm(key, v))
		}
	}
	return terms, types
}
