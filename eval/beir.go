package eval

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Collection is a retrieval data set in the layout of BEIR.
type Collection struct {
	Documents []CorpusDocument
	Queries   []CollectionQuery
	// Judgements are the grades by query id.
	Judgements map[string]Grades
	// Unknown counts relevant documents that the corpus does not hold. They
	// stay in the judgements, since no system can find them and all are
	// measured alike.
	Unknown int
}

// A CorpusDocument is one document of a [Collection]. The text may be empty.
type CorpusDocument struct {
	ID    string
	Title string
	Text  string
}

// A CollectionQuery is one query of a [Collection].
type CollectionQuery struct {
	ID   string
	Text string
}

// Ranked returns the judged queries joined with a system's rankings by query
// id, in the order of the collection, ready for [ScoreRankings].
func (c *Collection) Ranked(rankings map[string][]string) []RankedQuery {
	var out []RankedQuery
	for _, q := range c.Queries {
		if grades, ok := c.Judgements[q.ID]; ok {
			out = append(out, RankedQuery{ID: q.ID, Grades: grades, Ranking: rankings[q.ID]})
		}
	}
	return out
}

// ReadBEIR reads corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv. A judgement
// for a query that does not exist is an error. Errors in the content wrap
// [ErrFormat] and name file and line.
func ReadBEIR(fsys fs.FS, split string) (*Collection, error) {
	c := &Collection{}
	known := make(map[string]bool)
	err := readFile(fsys, "corpus.jsonl", func(r io.Reader, name string) (err error) {
		c.Documents, err = readCorpus(r, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, d := range c.Documents {
		known[d.ID] = true
	}
	queries := make(map[string]bool)
	err = readFile(fsys, "queries.jsonl", func(r io.Reader, name string) (err error) {
		c.Queries, err = readQueries(r, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, q := range c.Queries {
		queries[q.ID] = true
	}
	err = readFile(fsys, path.Join("qrels", split+".tsv"), func(r io.Reader, name string) (err error) {
		c.Judgements, err = readQrels(r, name, queries)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, grades := range c.Judgements {
		for id, grade := range grades {
			if grade > 0 && !known[id] {
				c.Unknown++
			}
		}
	}
	return c, nil
}

func readFile(fsys fs.FS, name string, read func(io.Reader, string) error) error {
	file, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("eval: read beir: %w", err)
	}
	defer file.Close()
	return read(file, name)
}

// maxLine is the longest line that is read, in bytes.
const maxLine = 64 << 20

// eachLine calls fn for every line that is not blank, numbered from 1.
func eachLine(r io.Reader, name string, fn func(number int, line []byte) error) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	number := 0
	for scanner.Scan() {
		number++
		line := scanner.Bytes()
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if !utf8.Valid(line) {
			return lineError(name, number, "not valid UTF-8")
		}
		if err := fn(number, line); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("eval: read beir: %s:%d: %w", name, number+1, err)
	}
	return nil
}

func lineError(name string, line int, format string, args ...any) error {
	return fmt.Errorf("eval: read beir: %w: %s:%d: %s", ErrFormat, name, line, fmt.Sprintf(format, args...))
}

type beirRecord struct {
	ID    *string `json:"_id"`
	Title string  `json:"title"`
	Text  *string `json:"text"`
}

func readRecords(r io.Reader, name string, add func(beirRecord)) error {
	seen := make(map[string]int)
	return eachLine(r, name, func(number int, line []byte) error {
		var record beirRecord
		if err := json.Unmarshal(line, &record); err != nil {
			return lineError(name, number, "%v", err)
		}
		switch {
		case record.ID == nil || *record.ID == "":
			return lineError(name, number, "_id is missing or empty")
		case record.Text == nil:
			return lineError(name, number, "text is missing")
		case seen[*record.ID] > 0:
			return lineError(name, number, "_id %q was used before on line %d", *record.ID, seen[*record.ID])
		}
		seen[*record.ID] = number
		add(record)
		return nil
	})
}

func readCorpus(r io.Reader, name string) ([]CorpusDocument, error) {
	var out []CorpusDocument
	err := readRecords(r, name, func(record beirRecord) {
		out = append(out, CorpusDocument{ID: *record.ID, Title: record.Title, Text: *record.Text})
	})
	return out, err
}

func readQueries(r io.Reader, name string) ([]CollectionQuery, error) {
	var out []CollectionQuery
	err := readRecords(r, name, func(record beirRecord) {
		out = append(out, CollectionQuery{ID: *record.ID, Text: *record.Text})
	})
	return out, err
}

// readQrels reads query-id, corpus-id and score, separated by tabs. The header
// that BEIR writes is optional. With a set of queries, others are refused.
func readQrels(r io.Reader, name string, queries map[string]bool) (map[string]Grades, error) {
	out := make(map[string]Grades)
	first := true
	err := eachLine(r, name, func(number int, line []byte) error {
		fields := strings.Split(strings.TrimRight(string(line), "\r"), "\t")
		header := first && fields[0] == "query-id"
		first = false
		if header {
			return nil
		}
		if len(fields) != 3 {
			return lineError(name, number, "got %d columns, want query-id, corpus-id and score", len(fields))
		}
		query, document := fields[0], fields[1]
		grade, err := strconv.Atoi(fields[2])
		switch _, repeated := out[query][document]; {
		case err != nil:
			return lineError(name, number, "score %q is no integer", fields[2])
		case query == "" || document == "":
			return lineError(name, number, "an id is empty")
		case repeated:
			return lineError(name, number, "query %q and document %q were judged before", query, document)
		case queries != nil && !queries[query]:
			return lineError(name, number, "query %q is not among the queries", query)
		}
		if out[query] == nil {
			out[query] = make(Grades)
		}
		out[query][document] = grade
		return nil
	})
	return out, err
}
