package hub_test

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/hub"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// graph is the smallest ONNX file with the outputs of question answering, and
// 300 kB of a weight.
func graph() []byte {
	part := func(number byte, body []byte) []byte {
		out := []byte{number<<3 | 2}
		for n := len(body); ; n >>= 7 {
			if n < 128 {
				out = append(out, byte(n))
				break
			}
			out = append(out, byte(n)|128)
		}
		return append(out, body...)
	}
	weight := make([]byte, 300_000)
	for i := range weight {
		weight[i] = byte(i * i >> 3)
	}
	return part(7, append(append(part(5, part(9, weight)), part(12, part(1, []byte("start_logits")))...), part(12, part(1, []byte("end_logits")))...))
}

// A server speaks the protocol of the hub and misbehaves as told.
type server struct {
	files map[string][]byte
	token string
	// bare leaves hashes and sizes out of the listing.
	bare bool
	// noRanges answers every request with the whole file.
	noRanges bool
	// storage, when set, is where large files are redirected to.
	storage string
	// before may answer in the server's place.
	before func(w http.ResponseWriter, r *http.Request, count int) bool
	// cut, when positive, ends connections after so many bytes of a body.
	cut int
	// served changes what is sent, not what is stated.
	served func(name string, data []byte) []byte

	mu       sync.Mutex
	requests map[string]int
	log      []string
}

func (s *server) start(t *testing.T) string {
	t.Helper()
	s.requests = map[string]int{}
	if s.files == nil {
		s.files = map[string][]byte{
			"config.json":     []byte(`{"architectures": ["BertForQuestionAnswering"], "model_type": "bert", "hidden_size": 8, "max_position_embeddings": 64}`),
			"tokenizer.json":  []byte(`{}`),
			"onnx/model.onnx": graph(),
			"LICENSE":         {}, // empty files are files
			"pytorch.bin":     []byte("not wanted"),
			".gitattributes":  []byte("*.onnx lfs"),
		}
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h.URL
}

func gitHash(data []byte) string {
	h := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
	return hex.EncodeToString(h[:])
}

func shaHash(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func large(name string) bool { return strings.HasSuffix(name, ".onnx") }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests[r.URL.Path]++
	count := s.requests[r.URL.Path]
	s.log = append(s.log, r.URL.Path+" "+r.Header.Get("Range"))
	s.mu.Unlock()
	if s.before != nil && s.before(w, r, count) {
		return
	}
	if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token && !strings.HasPrefix(r.URL.Path, "/storage/") {
		http.Error(w, "log in", http.StatusUnauthorized)
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/storage/"); ok {
		if r.Header.Get("Authorization") != "" {
			http.Error(w, "the token came to the storage", http.StatusTeapot)
			return
		}
		s.send(w, r, name)
		return
	}
	switch name, ok := strings.CutPrefix(r.URL.Path, "/me/model/resolve/"+commit+"/"); {
	case r.URL.Path == "/api/models/me/model/revision/main":
		s.list(w)
	case ok && s.files[name] != nil:
		w.Header().Set("X-Repo-Commit", commit)
		w.Header().Set("ETag", strconv.Quote(gitHash(s.files[name])))
		if large(name) {
			w.Header().Set("ETag", `"storage-etag"`)
			w.Header().Set("X-Linked-Etag", strconv.Quote(shaHash(s.files[name])))
			if s.storage != "" {
				http.Redirect(w, r, s.storage+"/storage/"+name, http.StatusFound)
				return
			}
		}
		s.send(w, r, name)
	default:
		http.NotFound(w, r)
	}
}

func (s *server) list(w http.ResponseWriter) {
	var siblings []map[string]any
	for name, data := range s.files {
		f := map[string]any{"rfilename": name}
		if !s.bare {
			f["size"], f["blobId"] = len(data), gitHash(data)
			if large(name) {
				f["blobId"] = gitHash([]byte("a pointer"))
				f["lfs"] = map[string]any{"sha256": shaHash(data), "size": len(data)}
			}
		}
		siblings = append(siblings, f)
	}
	json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": siblings})
}

func (s *server) send(w http.ResponseWriter, r *http.Request, name string) {
	data := s.files[name]
	if s.served != nil && len(data) > 0 {
		data = s.served(name, data)
	}
	from := 0
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !s.noRanges {
		from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
		if from >= len(data) {
			http.Error(w, "no such bytes", http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	rest := data[from:]
	if s.cut > 0 && len(rest) > s.cut {
		w.Write(rest[:s.cut])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler) // cuts the connection
	}
	w.Write(rest)
}

func pull(t *testing.T, s *server, change func(*hub.Config)) (hub.Result, string, error) {
	t.Helper()
	config := hub.Config{Endpoint: s.start(t), Pause: time.Millisecond}
	if change != nil {
		change(&config)
	}
	dir := filepath.Join(t.TempDir(), "model")
	result, err := hub.Pull(t.Context(), config, "me/model", "main", dir)
	return result, dir, err
}

func TestPull(t *testing.T) {
	storage := &server{}
	// Another name for this machine is another host.
	storageURL := strings.Replace(storage.start(t), "127.0.0.1", "localhost", 1)
	tests := []struct {
		name   string
		server *server
		change func(*hub.Config)
	}{
		{"plain", &server{}, nil},
		{"a mirror that states hashes with the files only", &server{bare: true}, nil},
		{"cut connections", &server{cut: 70_000}, nil},
		{"cut connections, no sizes", &server{cut: 70_000, bare: true}, nil},
		{"token and redirect to storage", &server{token: "secret", storage: storageURL}, func(c *hub.Config) { c.Token = "secret" }},
		{"redirect, hash only on the way", &server{storage: storageURL, bare: true}, nil},
		{"busy at first", &server{before: func(w http.ResponseWriter, _ *http.Request, count int) bool {
			if count < 3 {
				http.Error(w, "busy", http.StatusServiceUnavailable)
			}
			return count < 3
		}}, nil},
		{"stalled at first", &server{before: func(w http.ResponseWriter, r *http.Request, count int) bool {
			if count > 1 || !large(r.URL.Path) {
				return false
			}
			<-r.Context().Done()
			return true
		}}, func(c *hub.Config) { c.Stall = 200 * time.Millisecond }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			result, dir, err := pull(t, test.server, test.change)
			if err != nil {
				t.Fatal(err)
			}
			bundle, err := models.OpenDirectory(dir)
			if err != nil || bundle.Hash != result.Hash || result.Commit != commit || result.Fetched < 300_000 {
				t.Fatalf("result %+v, %v", result, err)
			}
			for name := range test.server.files {
				data, err := os.ReadFile(filepath.Join(dir, name))
				wanted := name != "pytorch.bin" && name != ".gitattributes"
				if wanted && string(data) != string(test.server.files[name]) || !wanted && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %d bytes, %v", name, len(data), err)
				}
			}
			left, err := filepath.Glob(dir + ".part*")
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestPullResumes: a later call goes on where an earlier one failed, and a call
// after that fetches nothing, offline too.
func TestPullResumes(t *testing.T) {
	broken := true
	s := &server{cut: 100_000}
	s.before = func(w http.ResponseWriter, r *http.Request, count int) bool {
		if broken && large(r.URL.Path) && count > 1 {
			http.Error(w, "broken", http.StatusBadGateway)
			return true
		}
		return false
	}
	config := hub.Config{Endpoint: s.start(t), Pause: time.Millisecond}
	dir := filepath.Join(t.TempDir(), "model")
	if _, err := hub.Pull(t.Context(), config, "me/model", "main", dir); err == nil || !strings.Contains(err.Error(), "502") || !strings.Contains(err.Error(), "onnx/model.onnx") {
		t.Fatalf("got %v, want the status and the file", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the target is there after a failure: %v", err)
	}
	broken, s.cut, s.log = false, 0, nil
	result, err := hub.Pull(t.Context(), config, "me/model", "main", dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(s.files["onnx/model.onnx"]) - 100_000); result.Fetched != want || len(s.log) != 2 || !strings.HasSuffix(s.log[1], "bytes=100000-") {
		t.Errorf("fetched %d bytes with %v, want %d with the list and one range", result.Fetched, s.log, want)
	}
	again, err := hub.Pull(t.Context(), config, "me/model", "main", dir)
	if err != nil || again.Fetched != 0 || again.Hash != result.Hash {
		t.Errorf("again: %+v, %v", again, err)
	}
	offline := hub.Config{Offline: true}
	if again, err = hub.Pull(t.Context(), offline, "me/model", commit, dir); err != nil || again.Hash != result.Hash {
		t.Errorf("offline: %+v, %v", again, err)
	}
	if _, err := hub.Pull(t.Context(), offline, "me/other", "main", dir); !errors.Is(err, hub.ErrOffline) {
		t.Errorf("another model offline: %v, want ErrOffline", err)
	}
	if _, err := hub.Pull(t.Context(), offline, "me/model", "main", dir+"2"); !errors.Is(err, hub.ErrOffline) {
		t.Errorf("nothing there, offline: %v, want ErrOffline", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("[]"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Pull(t.Context(), offline, "me/model", "main", dir); !errors.Is(err, hub.ErrChecksum) {
		t.Errorf("a changed file: %v, want ErrChecksum", err)
	}
}

func TestPullRefuses(t *testing.T) {
	named := func(name string) *server {
		return &server{files: map[string][]byte{"config.json": []byte("{}"), name: []byte("x")}}
	}
	flipped := func(_ string, data []byte) []byte {
		data = append([]byte(nil), data...)
		data[len(data)/2] ^= 1
		return data
	}
	tests := []struct {
		name   string
		server *server
		change func(*hub.Config)
		is     error
		want   string
	}{
		{"wrong content", &server{served: flipped}, nil, hub.ErrChecksum, "config.json"},
		{"wrong content of a large file", &server{served: func(name string, data []byte) []byte {
			if large(name) {
				return flipped(name, data)
			}
			return data
		}}, nil, hub.ErrChecksum, "onnx/model.onnx"},
		{"too long", &server{served: func(_ string, data []byte) []byte { return append(append([]byte(nil), data...), 'x') }}, nil, nil, "more than the"},
		{"too short", &server{served: func(_ string, data []byte) []byte { return data[:len(data)-1] }}, nil, nil, "config.json"},
		{"always cut, no ranges", &server{cut: 70_000, noRanges: true}, nil, nil, "gave up"},
		{"no token", &server{token: "secret"}, nil, hub.ErrAccess, "401"},
		{"another model", &server{before: func(w http.ResponseWriter, r *http.Request, _ int) bool { http.NotFound(w, r); return true }}, nil, hub.ErrNotFound, "404"},
		{"no JSON", &server{before: func(w http.ResponseWriter, _ *http.Request, _ int) bool { fmt.Fprint(w, "<html>"); return true }}, nil, nil, "the list of files"},
		{"name above", named("../evil.json"), nil, nil, `"../evil.json"`},
		{"name within that leads above", named("onnx/../../evil"), nil, nil, "evil"},
		{"absolute name", named("/etc/evil"), nil, nil, "/etc/evil"},
		{"name for another system", named(`..\evil`), nil, nil, "evil"},
		{"drive", named(`C:evil`), nil, nil, "C:evil"},
		{"no bundle", &server{files: map[string][]byte{"config.json": []byte("{}")}}, nil, models.ErrInvalidBundle, "tokenizer.json is missing"},
		{"no endpoint", &server{}, func(c *hub.Config) { c.Endpoint = "" }, nil, "endpoint"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, dir, err := pull(t, test.server, test.change)
			if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %v with %q", err, test.is, test.want)
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the target is there: %v", err)
			}
			if evil, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*evil*")); err != nil || len(evil) > 0 {
				t.Errorf("a file outside the target: %v, %v", evil, err)
			}
		})
	}
}

func TestPullArguments(t *testing.T) {
	dir := t.TempDir() // there, and not pulled
	s := &server{}
	config := hub.Config{Endpoint: s.start(t)}
	if _, err := hub.Pull(t.Context(), config, "me/model", "main", dir); !errors.Is(err, hub.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	for _, repo := range []string{"", "../x", "a/b/c", "a/..", "a b", "http://x"} {
		if _, err := hub.Pull(t.Context(), config, repo, "main", filepath.Join(dir, "x")); err == nil {
			t.Errorf("model %q is accepted", repo)
		}
	}
	for _, revision := range []string{"", "..", "a/../b", "a?b", "a b"} {
		if _, err := hub.Pull(t.Context(), config, "me/model", revision, filepath.Join(dir, "x")); err == nil {
			t.Errorf("revision %q is accepted", revision)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hub.Pull(ctx, config, "me/model", "main", filepath.Join(dir, "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if len(s.log) != 0 {
		t.Errorf("requests were made: %v", s.log)
	}
}
