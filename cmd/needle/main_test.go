package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// asNeedle makes the test binary behave as needle, for tests that need a
// process of their own.
const asNeedle = "NEEDLE_TEST_AS_NEEDLE"

func TestMain(m *testing.M) {
	if os.Getenv(asNeedle) != "" {
		os.Exit(run())
	}
	if data := os.Getenv(asKeeper); data != "" {
		fmt.Fprintln(os.Stderr, runKeeper(data, os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// needRuntime skips a test that needs ONNX Runtime where it is not set up; in
// CI that is a failure.
func needRuntime(t *testing.T) {
	t.Helper()
	_, err := onnx.Locate(onnx.LocateOptions{})
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// needle runs a command in this process.
func needle(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func mustNeedle(t *testing.T, args ...string) string {
	t.Helper()
	out, err := needle(t, args...)
	if err != nil {
		t.Fatalf("needle %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func answerTo(t *testing.T, data, question string) *pipeline.Result {
	t.Helper()
	var result pipeline.Result
	out := mustNeedle(t, "ask", question, "--json", "--data", data)
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return &result
}

// TestQuickstart: the first command of README works, and its answers come from
// the files: a changed fact changes the answer.
func TestQuickstart(t *testing.T) {
	needRuntime(t)
	examples, data := t.TempDir(), t.TempDir()
	if err := os.CopyFS(examples, os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	out := mustNeedle(t, "quickstart", "--examples", examples, "--data", data)
	for _, want := range []string{"27 working days", "Maureen Blackshaw", "Done in"} {
		if !strings.Contains(out, want) {
			t.Errorf("quickstart does not say %q:\n%s", want, out)
		}
	}
	path := filepath.Join(examples, "handbook", "people", "annual-leave.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(text), "27 working days", "31 working days")
	if changed == string(text) {
		t.Fatal("the handbook no longer says 27 working days")
	}
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	out = mustNeedle(t, "index", "add", filepath.Join(examples, "handbook"), "--data", data)
	if !strings.Contains(out, "1 updated") || !strings.Contains(out, "0 added") {
		t.Errorf("index add after one change says %q", out)
	}
	result := answerTo(t, data, "How many days of paid annual leave does a full-time employee have?")
	if len(result.Answers) == 0 || !strings.HasPrefix(result.Answers[0].Text, "31") {
		t.Errorf("answers after the change: %+v", result.Answers)
	}
}

func TestAskSearchJSON(t *testing.T) {
	needRuntime(t)
	data, files := t.TempDir(), t.TempDir()
	write(t, files, "tower.txt", "The Eiffel Tower was designed by Gustave Eiffel. It opened in 1889.")
	write(t, files, "bridge.md", "# Bridge\n\nThe bridge was built by Isambard Brunel in 1864.")
	out := mustNeedle(t, "index", "add", files, "--data", data, "--json")
	if !strings.Contains(out, `"added": 2`) {
		t.Errorf("index add --json: %s", out)
	}
	result := answerTo(t, data, "Who designed the Eiffel Tower?")
	if !result.Answerable || len(result.Answers) == 0 || !strings.Contains(result.Answers[0].Text, "Gustave Eiffel") {
		t.Fatalf("answers %+v", result.Answers)
	}
	a := result.Answers[0]
	if a.Source.Start == nil || *a.Source.Start != a.Start {
		t.Errorf("the offset in the original text file is missing: %+v", a.Source)
	}
	var found pipeline.SearchResult
	if err := json.Unmarshal([]byte(mustNeedle(t, "search", "bridge builder", "--json", "--explain", "--data", data)), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Hits) != 1 || found.Hits[0].Source.Headings[0] != "Bridge" || len(found.Hits[0].Terms) == 0 {
		t.Errorf("hits %+v", found.Hits)
	}
	explained := mustNeedle(t, "ask", "Who designed the Eiffel Tower?", "--explain", "--data", data)
	for _, want := range []string{"Gustave Eiffel", "span logit", "bm25", "idf"} {
		if !strings.Contains(explained, want) {
			t.Errorf("ask --explain does not say %q:\n%s", want, explained)
		}
	}
	out = mustNeedle(t, "index", "rm", filepath.Base(files)+"/tower.txt", "absent", "--data", data)
	if !strings.Contains(out, "1 removed, 1 were not there") {
		t.Errorf("index rm says %q", out)
	}
}

// TestBadInput: every one gets an error that says what is wrong, and costs
// nothing that is stored.
func TestBadInput(t *testing.T) {
	needRuntime(t)
	data, files := t.TempDir(), t.TempDir()
	write(t, files, "good.txt", "The lease of the Lyon office ends in 2031.")
	mustNeedle(t, "index", "add", files, "--data", data)
	noIndex := t.TempDir()
	write(t, noIndex, "indexes/default/holiday.txt", "this is no index")
	config := write(t, t.TempDir(), "needle.yaml", "retriever: {analyser: en}\n")
	plain := write(t, t.TempDir(), "file", "not a directory")

	tests := []struct {
		name string
		args []string
		want error
		says string
	}{
		{"empty question", []string{"ask", "", "--data", data}, pipeline.ErrEmptyQuestion, "write what you want to know"},
		{"100 kB of question", []string{"ask", strings.Repeat("why ", 25_000), "--data", data}, pipeline.ErrQuestionTooLong, "bytes"},
		{"invalid UTF-8", []string{"ask", "who \xff?", "--data", data}, pipeline.ErrInvalidText, "UTF-8"},
		{"NUL byte", []string{"ask", "who \x00?", "--data", data}, pipeline.ErrInvalidText, "NUL"},
		{"missing index", []string{"ask", "who?", "--data", data, "--index", "absent"}, retriever.ErrIndexNotFound, "needle index add"},
		{"invalid index name", []string{"ask", "who?", "--data", data, "--index", "../x"}, retriever.ErrInvalidIndexName, "a-z"},
		{"a directory that is no index", []string{"ask", "who?", "--data", noIndex}, retriever.ErrCorrupt, "default"},
		{"data is a file", []string{"ask", "who?", "--data", plain}, nil, "data directory"},
		{"unknown key in the config", []string{"ask", "who?", "--config", config}, pipeline.ErrInvalidConfig, "retriever.analyser: unknown key; allowed are analyzer"},
		{"config that is not there", []string{"ask", "who?", "--config", config + ".absent"}, os.ErrNotExist, "absent"},
		{"broken filter", []string{"ask", "who?", "--data", data, "--filter", "{"}, retriever.ErrInvalidFilter, "filter"},
		{"unknown field in the filter", []string{"ask", "who?", "--data", data, "--filter", `{"field": "team", "equals": "x"}`}, retriever.ErrInvalidFilter, "team"},
		{"path that is not there", []string{"index", "add", filepath.Join(files, "absent"), "--data", data}, nil, "not taken"},
		{"drop without --yes", []string{"index", "drop", "default", "--data", data}, nil, "--yes"},
		{"unknown eval stage", []string{"eval", "--path", write(t, t.TempDir(), "s.json", `{"data": []}`), "--stage", "magic"}, nil, "end-to-end, retriever, ranker, reader"},
		{"no server there", []string{"ask", "who?", "--server", "http://127.0.0.1:1"}, nil, "127.0.0.1:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := needle(t, tt.args...)
			if err == nil {
				t.Fatalf("no error; output:\n%s", out)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
	if r := answerTo(t, data, "When does the lease of the Lyon office end?"); len(r.Answers) == 0 || !strings.Contains(r.Answers[0].Text, "2031") {
		t.Errorf("what was stored is damaged: %+v", r.Answers)
	}
}

// TestBadFilesAmongGood: what cannot be taken is named, the rest goes in.
func TestBadFilesAmongGood(t *testing.T) {
	data, files := t.TempDir(), t.TempDir()
	write(t, files, "good.txt", "A good file.")
	write(t, files, "picture.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00")
	write(t, files, "latin.txt", "Stra\xdfe und noch mehr Text")
	write(t, files, "broken.pdf", "%PDF-1.7\nnothing else")
	write(t, files, "records.jsonl", `{"id": "one", "text": "First."}
{"id": "two", "text": "Second.
{"text": "No id."}
{"id": "four", "text": "Fourth.", "colour": "red"}
{"id": "five", "text": "Fifth."}
`)
	if err := os.Symlink(filepath.Join(files, "nowhere"), filepath.Join(files, "dangling.txt")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(files, "pipe.txt"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := needle(t, "index", "add", files, "--data", data)
	if err == nil || !strings.Contains(err.Error(), "not taken") {
		t.Errorf("got error %v, want one that counts what was not taken", err)
	}
	for _, want := range []string{"picture.png", "broken.pdf", "records.jsonl:2", "records.jsonl:3", "records.jsonl:4", "dangling.txt", "pipe.txt", "4 added"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not say %q:\n%s", want, out)
		}
	}
	list := mustNeedle(t, "index", "list", "--documents", "--data", data)
	for _, want := range []string{"good.txt", "latin.txt", "one ", "five "} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is not in the index:\n%s", want, list)
		}
	}
}

// process starts needle as a process of its own.
func process(t *testing.T, args ...string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asNeedle+"=1")
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, &out
}

// TestServe: while a server holds the data directory, commands work through it
// with identical output; SIGTERM ends it well; afterwards they work alone.
func TestServe(t *testing.T) {
	needRuntime(t)
	data, files := t.TempDir(), t.TempDir()
	write(t, files, "tower.txt", "The Eiffel Tower was designed by Gustave Eiffel. It opened in 1889.")
	mustNeedle(t, "index", "add", files, "--data", data)
	direct := answerTo(t, data, "Who designed the Eiffel Tower?")

	server, log := process(t, "serve", "--data", data, "--addr", "127.0.0.1:0")
	url := ""
	for deadline := time.Now().Add(60 * time.Second); url == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not come up:\n%s", log)
		}
		url = runningServer(t.Context(), data).URL
	}
	response, err := http.Get(url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("/readyz gave %d", response.StatusCode)
	}
	served := answerTo(t, data, "Who designed the Eiffel Tower?")
	direct.TimingsMS, served.TimingsMS = nil, nil
	a, _ := json.Marshal(direct)
	b, _ := json.Marshal(served)
	if !bytes.Equal(a, b) {
		t.Errorf("through the server the answer differs:\n%s\n%s", a, b)
	}
	write(t, files, "bridge.txt", "The bridge was built by Isambard Brunel in 1864.")
	if out := mustNeedle(t, "index", "add", files, "--data", data); !strings.Contains(out, "1 added, 0 updated, 1 unchanged") {
		t.Errorf("index add through the server says %q", out)
	}
	if _, err := needle(t, "serve", "--data", data, "--addr", "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), url) {
		t.Errorf("a second server got error %v, want one that names the first", err)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, log)
	}
	if r := answerTo(t, data, "Who built the bridge?"); len(r.Answers) == 0 || !strings.Contains(r.Answers[0].Text, "Isambard Brunel") {
		t.Errorf("after the server has gone: %+v", r.Answers)
	}
}

// TestSecondProcess: an index that another process has open gives a clear
// error at once.
func TestSecondProcess(t *testing.T) {
	needRuntime(t)
	data, files := t.TempDir(), t.TempDir()
	write(t, files, "a.txt", "Some text.")
	mustNeedle(t, "index", "add", files, "--data", data)
	_, log := process(t, "serve", "--data", data, "--addr", "127.0.0.1:0")
	for deadline := time.Now().Add(60 * time.Second); runningServer(t.Context(), data).URL == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not come up:\n%s", log)
		}
	}
	// Without the note the command cannot know of the server.
	if err := os.Remove(filepath.Join(data, serverFile)); err != nil {
		t.Fatal(err)
	}
	_, err := needle(t, "search", "text", "--data", data)
	if !errors.Is(err, retriever.ErrLocked) || !strings.Contains(err.Error(), "--server") {
		t.Errorf("got %v, want ErrLocked with what to do", err)
	}
}

// TestMissingRuntime: the error says what to run.
func TestMissingRuntime(t *testing.T) {
	t.Setenv("NEEDLE_ORT_LIB", filepath.Join(t.TempDir(), "absent.so"))
	_, err := needle(t, "ask", "who?", "--data", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "NEEDLE_ORT_LIB") {
		t.Errorf("got %v, want an error about NEEDLE_ORT_LIB", err)
	}
	if err != nil && !errors.Is(err, models.ErrRuntimeMissing) {
		t.Errorf("got %v, want ErrRuntimeMissing", err)
	}
}

// TestInterrupted: after SIGINT in the middle of indexing the command can be
// run again and ends with everything in.
func TestInterrupted(t *testing.T) {
	data, files := t.TempDir(), t.TempDir()
	for i := range 3000 {
		write(t, files, filepath.Join("d", string(rune('a'+i%26)), time.Duration(i).String()+".txt"), strings.Repeat("Some words that fill a page. ", 60))
	}
	cmd, log := process(t, "index", "add", files, "--data", data)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(data, "indexes", "default")); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != 130 && err != nil {
		t.Errorf("interrupted with %v:\n%s", err, log)
	}
	out := mustNeedle(t, "index", "add", files, "--data", data)
	if !strings.Contains(out, " 0 not taken") {
		t.Errorf("the second run says %q", out)
	}
	if stats := mustNeedle(t, "index", "stats", "--data", data); !strings.Contains(stats, "3000 documents") {
		t.Errorf("after the second run: %s", stats)
	}
	mustNeedle(t, "index", "verify", "--data", data)
}
