package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/s3"
	"github.com/needle-search/needle/internal/testenv"
)

// The keys of deploy/s3/test-server.sh.
const accessKey, secretKey = "needle-test", "needle-test-secret"

// bucket makes a bucket on a real server and points the environment there.
func bucket(t *testing.T) (*minio.Client, string) {
	t.Helper()
	address := os.Getenv("NEEDLE_S3_URL")
	if address == "" {
		testenv.Missing(t, false, "NEEDLE_S3_URL is not set: no S3 server to ask (deploy/s3/test-server.sh start)")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	t.Setenv("AWS_ENDPOINT_URL_S3", address)
	t.Setenv("AWS_REGION", "us-east-1")
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	client, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	name := "needle-" + strconv.FormatUint(rand.Uint64(), 36)
	if err := client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.RemoveBucketWithOptions(context.Background(), name, minio.RemoveBucketOptions{ForceDelete: true})
	})
	return client, name
}

func upload(t *testing.T, client *minio.Client, bucket, key string, data []byte) {
	t.Helper()
	if _, err := client.PutObject(t.Context(), bucket, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, config s3.Config, address string) *s3.Tree {
	t.Helper()
	tree, err := s3.Open(config, address)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func list(t *testing.T, tree *s3.Tree) map[string]ingest.TreeFile {
	t.Helper()
	files := map[string]ingest.TreeFile{}
	for file, err := range tree.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		files[file.Name] = file
	}
	return files
}

func noise(size int) []byte {
	data := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data) // never fails
	return data
}

// proxy stands before the server and counts the bytes of objects that pass; cut
// is how many answers are still to be cut short.
type proxy struct {
	*httptest.Server
	passed, cut atomic.Int64
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	target, err := url.Parse(os.Getenv("NEEDLE_S3_URL"))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	// The signature covers the name of the host, so the request keeps it.
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
	}}
	forward.ModifyResponse = func(r *http.Response) error {
		if r.Header.Get("Content-Range") == "" {
			return nil
		}
		p.passed.Add(r.ContentLength)
		if p.cut.Add(-1) >= 0 {
			r.Body = io.NopCloser(io.LimitReader(r.Body, r.ContentLength/2))
		}
		return nil
	}
	p.Server = httptest.NewUnstartedServer(forward)
	p.Server.Config.ErrorLog = nil
	p.Server.Start()
	t.Cleanup(p.Server.Close)
	return p
}

func TestReadsObjects(t *testing.T) {
	client, name := bucket(t)
	large := noise(9<<20 + 17)
	upload(t, client, name, "docs/a.txt", []byte("Alpha."))
	upload(t, client, name, "docs/empty.txt", nil)
	upload(t, client, name, "docs/sub/large.bin", large)
	upload(t, client, name, "docs/ü and +%20.txt", []byte("Umlaut."))
	upload(t, client, name, "docsother/b.txt", []byte("Not below the prefix."))
	p := newProxy(t)
	tree := open(t, s3.Config{Endpoint: p.URL, PathStyle: s3.StyleAlways}, "s3://"+name+"/docs/")
	if got, want := tree.Address(), "s3://"+name+"/docs"; got != want {
		t.Errorf("got address %s, want %s", got, want)
	}
	if err := tree.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := list(t, tree)
	if len(files) != 4 || files["a.txt"].Size != 6 || files["a.txt"].Version == "" || files["a.txt"].ModTime.IsZero() {
		t.Fatalf("got %+v", files)
	}
	for file, want := range map[string]string{"a.txt": "Alpha.", "empty.txt": "", "ü and +%20.txt": "Umlaut."} {
		content, err := tree.Open(t.Context(), files[file])
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if got, err := io.ReadAll(io.NewSectionReader(content, 0, files[file].Size)); err != nil || string(got) != want {
			t.Errorf("%s: got %q, error %v", file, got, err)
		}
		if err := content.Close(); err != nil {
			t.Error(err)
		}
	}
	// Reading the end, as the reader of a ZIP file does, fetches the last part
	// only, once; two connections that break do not matter.
	content, err := tree.Open(t.Context(), files["sub/large.bin"])
	if err != nil {
		t.Fatal(err)
	}
	p.passed.Store(0)
	tail := make([]byte, 1000)
	for range 3 {
		if n, err := content.ReadAt(tail, int64(len(large)-1000)); err != nil || !bytes.Equal(tail[:n], large[len(large)-1000:]) {
			t.Fatalf("the end: got %d bytes, error %v", n, err)
		}
	}
	if got, want := p.passed.Load(), int64(1<<20+17); got != want {
		t.Errorf("the end: %d bytes came, want %d", got, want)
	}
	p.cut.Store(2)
	if got, err := io.ReadAll(io.NewSectionReader(content, 0, int64(len(large)))); err != nil || !bytes.Equal(got, large) {
		t.Errorf("all: got %d bytes, error %v", len(got), err)
	}
	if n, err := content.ReadAt(make([]byte, 10), int64(len(large))-4); n != 4 || !errors.Is(err, io.EOF) {
		t.Errorf("beyond the end: got %d bytes and error %v, want 4 and EOF", n, err)
	}
	if err := content.Close(); err != nil {
		t.Error(err)
	}
}

func TestChangedObject(t *testing.T) {
	client, name := bucket(t)
	large := noise(9 << 20)
	upload(t, client, name, "small.txt", []byte("Before."))
	upload(t, client, name, "gone.txt", []byte("Before."))
	upload(t, client, name, "large.bin", large)
	tree := open(t, s3.DefaultConfig(), "s3://"+name)
	files := list(t, tree)
	content, err := tree.Open(t.Context(), files["large.bin"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	if _, err := content.ReadAt(make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	large[0]++
	upload(t, client, name, "large.bin", large)
	upload(t, client, name, "small.txt", []byte("After!!"))
	if err := client.RemoveObject(t.Context(), name, "gone.txt", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := content.ReadAt(make([]byte, 10), 8<<20); !errors.Is(err, ingest.ErrChanged) {
		t.Errorf("the third part: got error %v, want ErrChanged", err)
	}
	for _, file := range []string{"small.txt", "gone.txt"} {
		if _, err := tree.Open(t.Context(), files[file]); !errors.Is(err, ingest.ErrChanged) {
			t.Errorf("%s: got error %v, want ErrChanged", file, err)
		}
	}
}

func TestCheck(t *testing.T) {
	_, name := bucket(t)
	if err := open(t, s3.DefaultConfig(), "s3://"+name+"/nothing").Check(t.Context()); err != nil {
		t.Errorf("an empty prefix: %v", err)
	}
	if err := open(t, s3.DefaultConfig(), "s3://needle-no-such-bucket").Check(t.Context()); !errors.Is(err, s3.ErrMissing) {
		t.Errorf("got error %v, want ErrMissing", err)
	}
	if err := open(t, s3.Config{Anonymous: true}, "s3://"+name).Check(t.Context()); !errors.Is(err, s3.ErrDenied) {
		t.Errorf("without credentials: got error %v, want ErrDenied", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
	err := open(t, s3.DefaultConfig(), "s3://"+name).Check(t.Context())
	if !errors.Is(err, s3.ErrDenied) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("with a wrong key: got error %v, want ErrDenied without the key", err)
	}
}

func TestServerIsGone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tree := open(t, s3.Config{Endpoint: "http://" + listener.Addr().String(), Region: "us-east-1", Anonymous: true}, "s3://some-bucket")
	if err := tree.Check(ctx); err == nil {
		t.Error("got no error from a server that is not there")
	}
}

func TestAddress(t *testing.T) {
	cases := []struct{ address, want string }{
		{"s3://bucket", "s3://bucket"},
		{"s3://bucket/", "s3://bucket"},
		{"s3://bucket/a/b/", "s3://bucket/a/b"},
		{"s3://", ""},
		{"s3:///a", ""},
		{"s3://bucket//a", ""},
		{"s3://bucket/../a", ""},
		{"http://bucket/a", ""},
		{"bucket/a", ""},
	}
	for _, c := range cases {
		tree, err := s3.Open(s3.DefaultConfig(), c.address)
		switch {
		case c.want == "" && !errors.Is(err, s3.ErrAddress):
			t.Errorf("%s: got error %v, want ErrAddress", c.address, err)
		case c.want != "" && (err != nil || tree.Address() != c.want):
			t.Errorf("%s: got %v, error %v; want %s", c.address, tree, err, c.want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	if err := s3.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for _, endpoint := range []string{"localhost:9000", "ftp://host", "http://host/path", "http://user:secret@host", "http://host?x=1"} {
		if err := (s3.Config{Endpoint: endpoint, PathStyle: "auto"}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "endpoint: ") {
			t.Errorf("endpoint %q: got error %v", endpoint, err)
		}
	}
	if err := (s3.Config{PathStyle: "sometimes"}).Validate(); err == nil || !strings.Contains(err.Error(), `path_style: "sometimes"`) {
		t.Errorf("got error %v", err)
	}
}
