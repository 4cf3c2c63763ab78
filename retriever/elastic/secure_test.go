package elastic_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/elastic"
	"github.com/needle-search/needle/retriever/retrievertest"
)

// secured is a server with security on, which these tests have to themselves:
// one of them kills it.
type secured struct {
	dir, url, ca string
	client       *http.Client
}

func securedServer(t *testing.T) *secured {
	t.Helper()
	dir := os.Getenv("NEEDLE_ES_SECURE_DIR")
	if dir == "" {
		testenv.Missing(t, false, "NEEDLE_ES_SECURE_DIR is not set; start a server with NEEDLE_ES_DIR and NEEDLE_ES_SECURE_DIR set to one folder: NEEDLE_ES_SECURITY=true deploy/elasticsearch/test-server.sh start")
	}
	address, err := os.ReadFile(filepath.Join(dir, "url"))
	if err != nil {
		t.Fatal(err)
	}
	s := &secured{dir: dir, url: strings.TrimSpace(string(address)), ca: filepath.Join(dir, "config", "ca.pem")}
	data, err := os.ReadFile(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport}
	return s
}

// fingerprint is what Elasticsearch prints of its authority.
func (s *secured) fingerprint(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// config returns settings for a part of the server that is the test's own, with
// the password.
func (s *secured) config(t *testing.T) elastic.Config {
	t.Helper()
	t.Setenv("NEEDLE_TEST_ES_PASSWORD", "needle-test")
	c := elastic.DefaultConfig()
	c.Addresses, c.CAFile, c.Username, c.PasswordEnv = []string{s.url}, s.ca, "elastic", "NEEDLE_TEST_ES_PASSWORD"
	c.IndexPrefix, c.Replicas, c.RetryWait = "test-"+strconv.FormatInt(time.Now().UnixNano(), 36)+"-", 0, 5*time.Millisecond
	t.Cleanup(func() { cleanUp(t, c) })
	return c
}

// apiKey makes an API key that may do what Needle needs and no more, and returns
// it as it is written into requests.
func (s *secured) apiKey(t *testing.T, privileges string) string {
	t.Helper()
	body := `{"name": "needle", "role_descriptors": {"needle": {"indices": [{"names": ["test-*"], "privileges": [` + privileges + `]}]}}}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/_security/api_key", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("elastic", "needle-test")
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var key struct{ Encoded string }
	if err := json.Unmarshal(data, &key); err != nil || key.Encoded == "" {
		t.Fatalf("no API key was made: %s", data)
	}
	return key.Encoded
}

func TestSecured(t *testing.T) {
	s := securedServer(t)
	c := s.config(t)
	create(t, c, retrievertest.Entry("a", "text"))

	// A user with the documented privileges, and no more, may do all.
	pinned := c
	pinned.CAFile, pinned.CAFingerprint, pinned.Username = "", s.fingerprint(t), "needle_writer"
	index := reopen(t, pinned)
	if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("b", "text")}); err != nil {
		t.Errorf("Upsert: %v", err)
	}
	if _, err := index.Stats(t.Context()); err != nil {
		t.Errorf("Stats: %v", err)
	}
	missing, err := index.MissingVectors(t.Context(), "model", 5)
	if err == nil && len(missing) == 2 {
		err = index.PutVectors(t.Context(), "model", missing, [][]int8{{1, 2}, {2, 1}})
	}
	if coverage, coverageErr := index.VectorCoverage(t.Context(), "model"); err != nil || coverageErr != nil || coverage.Vectors != 2 {
		t.Errorf("vectors: %+v, %v, %v", coverage, err, coverageErr)
	}
	if err := index.Compact(t.Context()); err != nil {
		t.Errorf("Compact: %v", err)
	}
	backend := newBackend(t, pinned)
	other, err := backend.Create(t.Context(), "other")
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := backend.Swap(t.Context(), "other", "test"); err != nil {
		t.Errorf("Swap: %v", err)
	}
	if err := backend.Swap(t.Context(), "other", "test"); err != nil {
		t.Errorf("Swap back: %v", err)
	}

	t.Setenv("NEEDLE_TEST_ES_WRONG", "wrong")
	t.Setenv("NEEDLE_TEST_ES_KEY", s.apiKey(t, `"create_index", "delete_index", "read", "write", "view_index_metadata", "maintenance", "manage"`))
	t.Setenv("NEEDLE_TEST_ES_READ_KEY", s.apiKey(t, `"read", "view_index_metadata"`))
	byKey := c
	byKey.Username, byKey.PasswordEnv, byKey.APIKeyEnv = "", "", "NEEDLE_TEST_ES_KEY"
	keyed := reopen(t, byKey)
	if err := keyed.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("k", "text")}); err != nil {
		t.Errorf("Upsert by API key: %v", err)
	}
	if got := fmt.Sprint(search(t, keyed, "text")); got != "[a#0 b#0 k#0]" {
		t.Errorf("hits by API key = %s, want [a#0 b#0 k#0]", got)
	}
	if n, err := keyed.Delete(t.Context(), []string{"k"}); err != nil || n != 1 {
		t.Errorf("Delete by API key = %d, %v", n, err)
	}
	for name, test := range map[string]struct {
		change func(*elastic.Config)
		want   string
	}{
		"wrong password":        {func(c *elastic.Config) { c.PasswordEnv = "NEEDLE_TEST_ES_WRONG" }, "password_env"},
		"no user":               {func(c *elastic.Config) { c.Username, c.PasswordEnv = "", "" }, "401"},
		"wrong key":             {func(c *elastic.Config) { c.Username, c.PasswordEnv, c.APIKeyEnv = "", "", "NEEDLE_TEST_ES_WRONG" }, "api_key_env"},
		"key of few privileges": {func(c *elastic.Config) { c.Username, c.PasswordEnv, c.APIKeyEnv = "", "", "NEEDLE_TEST_ES_READ_KEY" }, "privileges"},
		"no authority":          {func(c *elastic.Config) { c.CAFile = "" }, "certificate"},
		"wrong fingerprint":     {func(c *elastic.Config) { c.CAFile, c.CAFingerprint = "", strings.Repeat("ab", 32) }, "ca_fingerprint"},
		"plain HTTP": {func(c *elastic.Config) {
			c.CAFile, c.Addresses = "", []string{"http" + strings.TrimPrefix(s.url, "https")}
		}, "not available"},
		"few privileges": {func(c *elastic.Config) { c.Username = "needle_reader" }, "privileges"},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := c
			wrong.Retries = 0
			test.change(&wrong)
			index, err := newBackend(t, wrong).Open(t.Context(), "test")
			if err == nil {
				err = index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("c", "text")})
				if closeErr := index.Close(); closeErr != nil {
					t.Error(closeErr)
				}
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that says %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "needle-test") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// kill ends the server as a power failure would.
func (s *secured) kill(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the server does not die")
}

// resume starts it again.
func (s *secured) resume(t *testing.T) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(testenv.Root(t), "deploy", "elasticsearch", "test-server.sh"), "resume")
	command.Env = append(os.Environ(), "NEEDLE_ES_DIR="+s.dir)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("resume: %v\n%s", err, out)
	}
}

// TestServerDies kills the server while documents are written and read, and
// starts it again. Nothing that was acknowledged is lost, nothing is there in
// part, whoever does not wait long enough is told so, and who waits goes on.
func TestServerDies(t *testing.T) {
	s := securedServer(t)
	c := s.config(t)
	c.BulkDocuments = 20 // so that a write takes several requests
	c.Retries, c.RetryWait = 1, 20*time.Millisecond
	index := create(t, c, retrievertest.Entry("seed", "seed text"))
	patient := c
	patient.Retries, patient.RetryWait = 20, time.Second
	waiting := reopen(t, patient)

	entry := func(n int, version string) retriever.Entry {
		parts := make([]string, 30)
		for i := range parts {
			parts[i] = fmt.Sprintf("part %d of %s", i, version)
		}
		return retrievertest.Entry(fmt.Sprintf("doc%d", n%4), parts...)
	}
	acknowledged := map[string]string{} // the last version of each document
	refused := 0
	var writers sync.WaitGroup
	stop := make(chan struct{})
	begun := make(chan struct{})
	writers.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if n == 8 {
				close(begun)
			}
			version := fmt.Sprintf("version%d", n)
			err := index.Upsert(t.Context(), []retriever.Entry{entry(n, version)})
			id := fmt.Sprintf("doc%d", n%4)
			switch {
			case err == nil:
				acknowledged[id] = version
			case errors.Is(err, retriever.ErrUnavailable):
				// It may have arrived before the server died.
				refused++
				acknowledged[id] = ""
			default:
				t.Errorf("Upsert: %v, want success or ErrUnavailable", err)
			}
		}
	})
	<-begun
	s.kill(t)
	if _, err := index.Retrieve(t.Context(), retriever.Query{Text: "seed", TopK: 1, AllGroups: true}); !errors.Is(err, retriever.ErrUnavailable) || !strings.Contains(err.Error(), s.url) {
		t.Errorf("Retrieve without a server: %v, want ErrUnavailable that names it", err)
	}
	done := make(chan error, 1)
	go func() {
		done <- waiting.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("waited", "seed that waited")})
	}()
	time.Sleep(100 * time.Millisecond) // for some writes to fail
	close(stop)
	writers.Wait()
	s.resume(t)
	if err := <-done; err != nil {
		t.Errorf("a write that waited: %v", err)
	}
	if refused == 0 {
		t.Error("no write failed while the server was away")
	}
	if got := fmt.Sprint(search(t, waiting, "seed")); !strings.Contains(got, "seed#0") || !strings.Contains(got, "waited#0") {
		t.Errorf("hits = %s, want the seed and what waited", got)
	}
	for id, version := range acknowledged {
		d, err := waiting.Document(t.Context(), id)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if version != "" && !strings.HasPrefix(d.Text, "part 0 of "+version+" ") {
			t.Errorf("%s holds %.40q, want what was acknowledged, %s", id, d.Text, version)
		}
		whole := strings.Fields(d.Text)[4-1]
		if strings.Count(d.Text, whole) != 30 {
			t.Errorf("%s holds %d parts of %s, want 30", id, strings.Count(d.Text, whole), whole)
		}
	}
	if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("after", "seed after")}); err != nil {
		t.Errorf("a write after the server came back: %v", err)
	}
}
