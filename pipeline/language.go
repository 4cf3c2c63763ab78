package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/needle-search/needle/ingest"
)

// questionWarning says that a question is in a language that the model was not
// trained for, or "".
func (m *loadedModel) questionWarning(question string) string {
	known := m.bundle.Manifest.Languages
	tag := ingest.QuestionLanguage(question, known)
	if tag == "" {
		return ""
	}
	return fmt.Sprintf("the question seems to be in %q, but the model was trained for %s: answers are poor", tag, strings.Join(known, ", "))
}

// LanguageWarning says how many documents are in languages that a model was
// not trained for, or "". The counts are those of a report.
func LanguageWarning(counts map[string]int, known []string) string {
	outside := map[string]int{}
	total, foreign := 0, 0
	for tag, n := range counts {
		total += n
		if !ingest.MatchesLanguage(tag, known) {
			outside[tag] += n
			foreign += n
		}
	}
	if foreign == 0 {
		return ""
	}
	tags := slices.SortedFunc(maps.Keys(outside), func(a, b string) int {
		return cmp.Or(cmp.Compare(outside[b], outside[a]), cmp.Compare(a, b))
	})
	for i, tag := range tags {
		tags[i] = fmt.Sprintf("%s: %d", tag, outside[tag])
	}
	const most = 5
	if len(tags) > most {
		tags = append(tags[:most], "...")
	}
	return fmt.Sprintf("%d of %d documents are in languages that the model was not trained for (%s; it knows %s): they are found by search, but answers from them are poor",
		foreign, total, strings.Join(tags, ", "), strings.Join(known, ", "))
}

// languages returns those of the reader's bundle. The splitter was made before.
func (p *Pipeline) languages() []string {
	if m := p.slot.peek(); m != nil {
		return m.bundle.Manifest.Languages
	}
	return p.bundleLanguages
}

// warn adds to a report what the user should know of the languages.
func (p *Pipeline) warn(report *ingest.Report) {
	if warning := LanguageWarning(report.Languages, p.languages()); warning != "" {
		report.Warnings = append(report.Warnings, warning)
	}
}
