// Command cut tokenizes what differential.py sends it: a JSON value a line on
// standard input, a JSON array of token windows a line on standard output.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/tokenizer"
)

// A request is a text, or a question with a passage.
type request struct {
	Text      *string `json:"text"`
	Question  string  `json:"question"`
	Passage   string  `json:"passage"`
	MaxLength int     `json:"max_length"`
	Stride    int     `json:"stride"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cut:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 && len(os.Args) != 3 {
		return fmt.Errorf("usage: cut TOKENIZER.JSON [SECONDS] < requests > windows")
	}
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	tok, err := tokenizer.Load(data)
	if err != nil {
		return err
	}
	in, out := bufio.NewScanner(os.Stdin), bufio.NewWriterSize(os.Stdout, 1<<20)
	in.Buffer(make([]byte, 1<<20), 1<<30)
	if len(os.Args) == 3 {
		return speed(tok, data, in, os.Args[2])
	}
	var line []byte
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return err
		}
		if line, err = answer(line[:0], tok, r); err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return out.Flush()
}

// cpu returns the processor time that this process has used. On a machine that
// is shared it says more than the clock.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// speed tokenizes the texts again and again, and prints tokens, processor
// seconds, and the processor milliseconds of loading the tokenizer once.
func speed(tok models.Tokenizer, data []byte, in *bufio.Scanner, limit string) error {
	seconds, err := strconv.ParseFloat(limit, 64)
	if err != nil {
		return err
	}
	var texts []string
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return err
		}
		texts = append(texts, *r.Text)
	}
	before := cpu()
	const loads = 5
	for range loads {
		if _, err := tokenizer.Load(data); err != nil {
			return err
		}
	}
	load := (cpu() - before) / loads
	for _, text := range texts {
		tok.Tokenize(text) // warm-up, as the other side gets it
	}
	tokens, start, used := 0, cpu(), time.Duration(0)
	for used.Seconds() < seconds {
		for _, text := range texts {
			tokens += tok.Tokenize(text).Len()
		}
		used = cpu() - start
	}
	_, err = fmt.Printf("%d %f %f\n", tokens, used.Seconds(), float64(load.Microseconds())/1000)
	return err
}

// answer appends windows of flat arrays: ids, starts and ends, and for pairs
// type ids and sequences.
func answer(line []byte, tok models.Tokenizer, r request) ([]byte, error) {
	if r.Text != nil {
		t := tok.Tokenize(*r.Text)
		return appendWindow(line, t.IDs, t.Offsets, nil, nil), nil
	}
	windows, err := tok.Pair(tok.Tokenize(r.Question), tok.Tokenize(r.Passage), r.MaxLength, r.Stride)
	if err != nil {
		return append(line, "null"...), nil
	}
	line = append(line, '[')
	for i, w := range windows {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendWindow(line, w.IDs, w.Offsets, w.TypeIDs, w.Sequences)
	}
	return append(line, ']'), nil
}

func appendWindow(line []byte, ids []int32, offsets []models.Offset, types []int32, sequences []int8) []byte {
	line = append(line, '[')
	for i := range ids {
		line = strconv.AppendInt(line, int64(ids[i]), 10)
		line = strconv.AppendInt(append(line, ','), int64(offsets[i].Start), 10)
		line = strconv.AppendInt(append(line, ','), int64(offsets[i].End), 10)
		if types != nil {
			line = strconv.AppendInt(append(line, ','), int64(types[i]), 10)
			line = strconv.AppendInt(append(line, ','), int64(sequences[i]), 10)
		}
		line = append(line, ',')
	}
	if line[len(line)-1] == ',' {
		line = line[:len(line)-1]
	}
	return append(line, ']')
}
