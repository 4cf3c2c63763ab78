package ingest

import "strings"

// Sentences returns the sentences of a text as the splitter sees them.
func Sentences(text string) []string {
	var list []string
	start := 0
	for end := range eachSentence(text) {
		list = append(list, strings.TrimSpace(text[start:end]))
		start = end
	}
	return list
}
