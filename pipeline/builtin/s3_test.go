package builtin_test

import (
	"bytes"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// TestSyncBucket follows a bucket of a real server: adds, updates and deletes,
// with formats and archives as in a directory, and reads again only what has
// another ETag.
func TestSyncBucket(t *testing.T) {
	address := os.Getenv("NEEDLE_S3_URL")
	if address == "" {
		testenv.Missing(t, false, "NEEDLE_S3_URL is not set: no S3 server to ask (deploy/s3/test-server.sh start)")
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	bucket := "needle-sync-" + strconv.FormatUint(rand.Uint64(), 36)
	client, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4("needle-test", "needle-test-secret", ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	upload := func(key string, data []byte) {
		t.Helper()
		if _, err := client.PutObject(t.Context(), bucket, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for key, file := range map[string]string{"handbook/report.pdf": "../../ingest/pdf/testdata/chromium-report.pdf", "handbook/all.zip": "../../ingest/testdata/formats/archive.zip"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		upload(key, data)
	}
	upload("handbook/note.txt", []byte("The depot opens at seven."))
	upload("handbook/old/draft.txt", []byte("Not for everybody."))
	upload("handbook/.needleignore", []byte("old/\n"))
	t.Setenv("AWS_ACCESS_KEY_ID", "needle-test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "needle-test-secret")

	path := filepath.Join(t.TempDir(), "needle.yaml")
	if err := os.WriteFile(path, []byte("ingest: {s3: {endpoint: \""+address+"\", path_style: always}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := pipeline.LoadConfig(path, builtin.Registry())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = t.TempDir()
	p, err := pipeline.Open(t.Context(), cfg, pipeline.WithoutReader())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	sync := func() ingest.SyncReport {
		t.Helper()
		report, err := p.Sync(t.Context(), []string{"s3://" + bucket + "/handbook"}, pipeline.SyncOptions{
			Events: ingest.Events{Fault: func(f ingest.Fault) { t.Logf("%s", f) }},
		})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	first := sync()
	if first.Failed != 0 || first.Added < 4 || first.Sources[0].Name != "handbook" {
		t.Fatalf("first: got %+v", first)
	}
	if again := sync(); again.Unread != 3 || again.Unchanged != first.Added {
		t.Errorf("again: got %+v", again)
	}
	upload("handbook/note.txt", []byte("The depot opens at eight."))
	upload("handbook/new.txt", []byte("The depot is closed on Sundays."))
	if err := client.RemoveObject(t.Context(), bucket, "handbook/report.pdf", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if third := sync(); third.Added != 1 || third.Updated != 1 || third.Deleted != 1 || third.Unread != 1 {
		t.Errorf("third: got %+v", third)
	}
	sources, err := pipeline.ReadSources(cfg.Data, cfg.Index)
	if err != nil || len(sources) != 1 || sources[0].Path != "s3://"+bucket+"/handbook" || sources[0].Failing() {
		t.Errorf("got sources %+v, error %v", sources, err)
	}
	if _, err := p.Sync(t.Context(), []string{"s3://needle-no-such-bucket/handbook2"}, pipeline.SyncOptions{}); err == nil || !strings.Contains(err.Error(), "no such bucket") {
		t.Errorf("got error %v", err)
	}
	if _, err := p.Sync(t.Context(), []string{"gopher://host/x"}, pipeline.SyncOptions{}); err == nil || !strings.Contains(err.Error(), "gopher://") {
		t.Errorf("got error %v", err)
	}
}
