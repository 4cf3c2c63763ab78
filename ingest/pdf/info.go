package pdf

import (
	"strings"
	"time"

	"github.com/klippa-app/go-pdfium/requests"

	"github.com/needle-search/needle/ingest"
)

// info is what a file says of itself.
type info map[string]string

func (r *reader) info() info {
	found := info{}
	for _, tag := range []string{"Title", "Author", "Subject", "Keywords", "CreationDate", "ModDate"} {
		got, err := r.pdfium.GetMetaData(&requests.GetMetaData{Document: r.handle, Tags: &[]string{tag}})
		if err == nil && len(got.Tags) > 0 {
			value := strings.TrimRight(got.Tags[0].Value, "\x00")
			if strings.HasPrefix(value, "(") && strings.HasSuffix(value, ")") {
				continue // "(anonymous)", "(unspecified)": a program's word for nothing
			}
			found[tag] = value
		}
	}
	return found
}

func (m info) apply(doc *ingest.Extracted) {
	if title := ingest.CleanLine(m["Title"]); !isNoTitle(title) {
		doc.Title = title
	}
	doc.SetMeta(ingest.MetaAuthor, m["Author"])
	doc.SetMeta(ingest.MetaSubject, m["Subject"])
	doc.SetMeta(ingest.MetaKeywords, m["Keywords"])
	doc.SetMeta(ingest.MetaCreated, parseDate(m["CreationDate"]))
	doc.SetMeta(ingest.MetaModified, parseDate(m["ModDate"]))
}

// isNoTitle reports whether a title is what a program puts in when the author
// gave none: a file name, or a word for nothing.
func isNoTitle(title string) bool {
	lower := strings.ToLower(title)
	for _, prefix := range []string{"microsoft word - ", "microsoft powerpoint - ", "microsoft excel - "} {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	switch lower {
	case "", "untitled", "anonymous", "about:blank", "document", "title", "unbenannt", "sans titre":
		return true
	}
	if strings.ContainsAny(lower, " ") {
		return false
	}
	for _, suffix := range []string{".doc", ".docx", ".pdf", ".odt", ".indd", ".tex", ".dvi", ".html", ".htm", ".md", ".ppt", ".pptx", ".xls", ".xlsx", ".rtf", ".txt"} {
		if strings.HasSuffix(lower, suffix) {
			return true
		}
	}
	return strings.HasPrefix(lower, "file:") || strings.HasPrefix(lower, "http:") || strings.HasPrefix(lower, "https:")
}

// parseDate reads a date of the form D:YYYYMMDDHHmmSSOHH'mm', of which all but
// the year may be missing (PDF 32000-1, 7.9.4). Other text gives no time.
func parseDate(text string) time.Time {
	text = strings.TrimPrefix(strings.TrimSpace(text), "D:")
	digits := 0
	for digits < len(text) && digits < 14 && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	layout := "20060102150405"
	if digits < 4 || digits%2 != 0 {
		return time.Time{}
	}
	zone := strings.ReplaceAll(text[digits:], "'", "")
	if len(zone) == 3 {
		zone += "00"
	}
	if len(zone) >= 5 && (zone[0] == '+' || zone[0] == '-') {
		if t, err := time.Parse(layout[:digits]+"-0700", text[:digits]+zone[:5]); err == nil {
			return t.UTC()
		}
	}
	t, err := time.Parse(layout[:digits], text[:digits])
	if err != nil || t.Year() < 1 {
		return time.Time{}
	}
	return t.UTC()
}
