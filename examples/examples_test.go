// Package examples_test checks that the example handbook is what its README
// says: large and varied enough, and really holding the answers to its
// questions.
package examples_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const (
	leastDocuments  = 40
	leastLong       = 5    // documents of many pages
	longWords       = 3000 // at about 400 words a page
	leastAnswered   = 60
	leastUnanswered = 12
)

type question struct {
	Question string   `json:"question"`
	Document string   `json:"document"`
	Record   string   `json:"record"`
	Answers  []string `json:"answers"`
}

type record struct {
	ID       string         `json:"id"`
	Title    string         `json:"title"`
	Text     string         `json:"text"`
	Metadata map[string]any `json:"metadata"`
}

// readHandbook returns the files of the handbook by path.
func readHandbook(t *testing.T) map[string]string {
	t.Helper()
	handbook := os.DirFS("handbook")
	files := make(map[string]string)
	err := fs.WalkDir(handbook, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(handbook, name)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatalf("read the handbook: %v", err)
	}
	return files
}

func decodeStrictly(t *testing.T, name string, data []byte, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readQuestions(t *testing.T) []question {
	t.Helper()
	data, err := os.ReadFile("questions.json")
	if err != nil {
		t.Fatal(err)
	}
	var questions []question
	decodeStrictly(t, "questions.json", data, &questions)
	return questions
}

func readRecords(t *testing.T, name, content string) []record {
	t.Helper()
	var records []record
	for line := range strings.Lines(content) {
		var r record
		decodeStrictly(t, name, []byte(line), &r)
		if r.ID == "" || r.Title == "" || r.Text == "" {
			t.Errorf("%s: a record lacks id, title or text: %s", name, line)
		}
		records = append(records, r)
	}
	return records
}

// words counts the runs of non-space that hold a letter or a digit, so that
// the rules of tables do not count.
func words(text string) int {
	n := 0
	for _, field := range strings.Fields(text) {
		if strings.ContainsFunc(field, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			n++
		}
	}
	return n
}

func TestHandbookIsLargeAndVaried(t *testing.T) {
	files := readHandbook(t)
	if len(files) < leastDocuments {
		t.Errorf("got %d files, want at least %d", len(files), leastDocuments)
	}
	long, kinds := 0, make(map[string]int)
	for name, content := range files {
		kinds[path.Ext(name)]++
		if !utf8.ValidString(content) || strings.ContainsRune(content, 0) {
			t.Errorf("%s: not valid text", name)
		}
		n := words(content)
		if n < 100 {
			t.Errorf("%s: %d words, want at least 100", name, n)
		}
		if n >= longWords {
			long++
		}
	}
	if long < leastLong {
		t.Errorf("got %d documents of %d words or more, want at least %d", long, longWords, leastLong)
	}
	for _, kind := range []string{".md", ".txt", ".jsonl"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s file", kind)
		}
		delete(kinds, kind)
	}
	if len(kinds) > 0 {
		t.Errorf("unexpected kinds of files: %v", kinds)
	}
}

// A sentence that occurs twice would let a changed fact survive elsewhere, and
// would be filler.
func TestNoSentenceIsRepeated(t *testing.T) {
	const least = 60 // shorter ones may recur by chance
	seen := make(map[string]string)
	sentence := regexp.MustCompile(`[^.!?\n|]+[.!?]`)
	for name, content := range readHandbook(t) {
		for _, s := range sentence.FindAllString(content, -1) {
			s = strings.TrimSpace(s)
			if len(s) < least {
				continue
			}
			if before, ok := seen[s]; ok {
				t.Errorf("%s and %s share the sentence %q", before, name, s)
			}
			seen[s] = name
		}
	}
}

func TestRecordsAreUnique(t *testing.T) {
	for name, content := range readHandbook(t) {
		if path.Ext(name) != ".jsonl" {
			continue
		}
		seen := make(map[string]bool)
		for _, r := range readRecords(t, name, content) {
			if seen[r.ID] {
				t.Errorf("%s: id %q occurs twice", name, r.ID)
			}
			seen[r.ID] = true
		}
		if len(seen) < 5 {
			t.Errorf("%s: %d records, want at least 5", name, len(seen))
		}
	}
}

func TestQuestions(t *testing.T) {
	files, questions := readHandbook(t), readQuestions(t)
	answered, unanswered := 0, 0
	asked := make(map[string]bool)
	documents := make(map[string]bool)
	for i, q := range questions {
		if strings.TrimSpace(q.Question) == "" || asked[q.Question] {
			t.Errorf("question %d, %q: empty or asked twice", i, q.Question)
		}
		asked[q.Question] = true
		if len(q.Answers) == 0 {
			unanswered++
			if i < 3 {
				t.Errorf("question %d, %q: the quickstart asks the first three, so they need answers", i, q.Question)
			}
			if q.Document != "" || q.Record != "" {
				t.Errorf("question %q: a document but no answers", q.Question)
			}
			continue
		}
		answered++
		documents[q.Document] = true
		text, ok := files[q.Document]
		if !ok {
			t.Errorf("question %q: no document %q", q.Question, q.Document)
			continue
		}
		if path.Ext(q.Document) == ".jsonl" {
			records := readRecords(t, q.Document, text)
			at := slices.IndexFunc(records, func(r record) bool { return r.ID == q.Record })
			if at < 0 {
				t.Errorf("question %q: %s has no record %q", q.Question, q.Document, q.Record)
				continue
			}
			text = records[at].Text
		}
		for _, answer := range q.Answers {
			if strings.TrimSpace(answer) == "" || !strings.Contains(text, answer) {
				t.Errorf("question %q: %s does not contain the answer %q", q.Question, q.Document, answer)
			}
		}
	}
	if answered < leastAnswered || unanswered < leastUnanswered {
		t.Errorf("got %d answered and %d unanswered questions, want at least %d and %d", answered, unanswered, leastAnswered, leastUnanswered)
	}
	if len(documents) < len(files)/2 {
		t.Errorf("the questions touch %d of %d documents, want at least half", len(documents), len(files))
	}
}

// The quickstart shows that an answer follows the document, which a second
// statement of the same fact would spoil.
func TestQuickstartFactsStandOnce(t *testing.T) {
	files := readHandbook(t)
	for _, fact := range []string{"27 working days", "Maureen Blackshaw of the wiring shop", "The paint shop in Sheffield will cost"} {
		var found []string
		for name, content := range files {
			if n := strings.Count(content, fact); n > 0 {
				found = append(found, name)
				if n > 1 {
					t.Errorf("%q stands %d times in %s", fact, n, name)
				}
			}
		}
		if len(found) != 1 {
			t.Errorf("%q stands in %v, want exactly one document", fact, found)
		}
	}
}
