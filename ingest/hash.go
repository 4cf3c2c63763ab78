package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"math"
	"slices"
	"time"
)

// ContentHash identifies a document and the way it is split: a SHA-256 in
// hexadecimal over everything that is stored except the time of the last
// change, so that touching a file does not index it again. The fingerprint is
// that of the [Splitter].
func ContentHash(doc Extracted, fingerprint string) string {
	h := hasher{sha256.New()}
	h.string("needle document 1")
	h.string(fingerprint)
	h.string(doc.ID)
	h.string(doc.Title)
	h.string(doc.Text)
	h.string(doc.Language)
	h.string(doc.Source.URI)
	h.string(doc.Source.MediaType)
	h.int(doc.Source.TextOffset)
	h.bool(doc.Source.Verbatim)
	// The order of groups means nothing.
	h.strings(slices.Sorted(slices.Values(doc.Groups)))
	h.int(len(doc.Metadata))
	for _, key := range slices.Sorted(maps.Keys(doc.Metadata)) {
		h.string(key)
		h.value(doc.Metadata[key])
	}
	h.int(len(doc.Sections))
	for _, s := range doc.Sections {
		h.int(s.Start)
		h.strings(s.Headings)
	}
	h.int(len(doc.Pages))
	for _, start := range doc.Pages {
		h.int(start)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hasher writes values with their lengths, so that moving a character from one
// field to the next changes the hash.
type hasher struct{ hash.Hash }

func (h hasher) uint(n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	h.Write(b[:]) // never fails
}

func (h hasher) int(n int) { h.uint(uint64(n)) }

func (h hasher) string(s string) {
	h.int(len(s))
	// In pieces, because the conversion copies.
	for len(s) > 0 {
		n := min(len(s), 32<<10)
		h.Write([]byte(s[:n]))
		s = s[n:]
	}
}

func (h hasher) strings(list []string) {
	h.int(len(list))
	for _, s := range list {
		h.string(s)
	}
}

func (h hasher) bool(b bool) {
	if b {
		h.uint(1)
	} else {
		h.uint(0)
	}
}

func (h hasher) value(v any) {
	switch v := v.(type) {
	case string:
		h.string("string")
		h.string(v)
	case []string:
		h.string("strings")
		h.strings(v)
	case bool:
		h.string("bool")
		h.bool(v)
	case int64:
		h.string("int")
		h.uint(uint64(v))
	case float64:
		h.string("float")
		h.uint(math.Float64bits(v))
	case time.Time:
		h.string("time")
		h.string(v.UTC().Format(time.RFC3339Nano))
	default:
		// retriever.Document.Validate refuses every other type.
		h.string("invalid")
	}
}
