package ingest

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// signatures are the first bytes by which a file that this version cannot read
// is called by its name in the report.
var signatures = [...]struct{ prefix, kind string }{
	{"%PDF-", "a PDF file"},
	{"PK\x03\x04", "a ZIP archive or an Office file"},
	{"PK\x05\x06", "a ZIP archive"},
	{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an Office file of the old kind"},
	{"{\\rtf", "an RTF file"},
	{"%!PS", "a PostScript file"},
	{"\x89PNG\r\n", "an image"},
	{"\xFF\xD8\xFF", "an image"},
	{"GIF8", "an image"},
	{"II*\x00", "an image"},
	{"MM\x00*", "an image"},
	{"\x1F\x8B", "a compressed file"},
	{"BZh", "a compressed file"},
	{"\xFD7zXZ\x00", "a compressed file"},
	{"\x28\xB5\x2F\xFD", "a compressed file"},
	{"7z\xBC\xAF\x27\x1C", "a compressed file"},
	{"\x7FELF", "a program"},
	{"SQLite format 3\x00", "a database"},
}

// markup are the first characters, in lower case, of text formats in which the
// words are not what a reader sees.
var markup = [...]struct{ prefix, kind string }{
	{"<!doctype html", "an HTML page"},
	{"<html", "an HTML page"},
	{"<head", "an HTML page"},
	{"<?xml", "an XML file"},
	{"<svg", "an image"},
	{"mime-version:", "an e-mail"},
	{"received:", "an e-mail"},
	{"return-path:", "an e-mail"},
}

// Kind names what a file is by its first bytes, if it is of a well-known kind
// that is not plain text. Otherwise it returns "".
func Kind(head []byte) string {
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.prefix)) {
			return s.kind
		}
	}
	start, _ := cutMark(head)
	start = bytes.TrimLeft(start, " \t\r\n")
	lower := strings.ToLower(string(start[:min(len(start), 32)]))
	for _, m := range markup {
		if strings.HasPrefix(lower, m.prefix) {
			return m.kind
		}
	}
	if LooksLikeJSON(start) {
		return "a JSON file"
	}
	return ""
}

// LooksLikeJSON reports whether text starts like a JSON object or a list of
// them. A footnote such as "[1] See" does not.
func LooksLikeJSON(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	if rest, ok := bytes.CutPrefix(head, []byte("[")); ok {
		head = bytes.TrimLeft(rest, " \t\r\n")
	}
	rest, ok := bytes.CutPrefix(head, []byte("{"))
	if !ok {
		return false
	}
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && (rest[0] == '"' || rest[0] == '}')
}

// Extension returns the lower-case extension of a name, with its dot.
func Extension(name string) string { return strings.ToLower(path.Ext(name)) }

// choose returns the processor that fits best; among equals the first.
func choose(processors []Processor, name string, head []byte) (Processor, error) {
	if len(head) == 0 {
		return nil, ErrEmpty
	}
	var best Processor
	confidence := NoMatch
	for _, p := range processors {
		if c := p.Match(name, head); c > confidence {
			best, confidence = p, c
		}
	}
	if best != nil {
		return best, nil
	}
	kind := Kind(head)
	switch {
	case kind != "":
		return nil, fmt.Errorf("%w: it is %s", ErrUnsupported, kind)
	case IsBinary(head):
		return nil, ErrBinary
	}
	return nil, ErrUnsupported
}
