package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/backup"
)

var _ pipeline.Keeper = (*fakeService)(nil)

func (f *fakeService) there(ctx context.Context, name string) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	_, err := f.index(name)
	return err
}

func (f *fakeService) Verify(ctx context.Context, index string) error { return f.there(ctx, index) }

func (f *fakeService) Compact(ctx context.Context, index string) (pipeline.CompactReport, error) {
	return pipeline.CompactReport{Index: index, Before: 2, After: 1}, f.there(ctx, index)
}

func (f *fakeService) Backup(ctx context.Context, index string, w io.Writer) (backup.Summary, error) {
	if err := f.there(ctx, index); err != nil {
		return backup.Summary{}, err
	}
	_, err := io.WriteString(w, "a backup")
	return backup.Summary{}, err
}

func (f *fakeService) Restore(ctx context.Context, index string, r io.Reader, _ pipeline.RestoreOptions) (pipeline.RestoreReport, error) {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return pipeline.RestoreReport{}, err
	}
	return pipeline.RestoreReport{Index: index}, f.begin(ctx)
}

func (f *fakeService) SwapIndexes(ctx context.Context, index, with string) error {
	return errors.Join(f.there(ctx, index), f.there(ctx, with))
}

func (f *fakeService) StartRebuild(ctx context.Context, index string, _ pipeline.RebuildOptions) error {
	return f.there(ctx, index)
}

func (f *fakeService) RebuildStatus(ctx context.Context, index string) (pipeline.RebuildStatus, error) {
	return pipeline.RebuildStatus{Index: index, State: pipeline.RebuildNone}, f.there(ctx, index)
}

func (f *fakeService) DeclareFields(ctx context.Context, index string, _ map[string]retriever.FieldType) error {
	return f.there(ctx, index)
}

// TestKeeper goes through the life of an index with a real pipeline behind a
// real server.
func TestKeeper(t *testing.T) {
	p := openPipeline(t, pipeline.WithoutReader())
	c := connect(t, p)
	ctx := t.Context()
	var documents []retriever.Document
	for _, id := range []string{"a", "b", "c"} {
		documents = append(documents, retriever.Document{ID: id, Text: "The running towers of " + id + "."})
	}
	if _, err := c.Put(ctx, "docs", documents); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	summary, err := c.Backup(ctx, "docs", &file)
	if err != nil || summary.Documents != 3 {
		t.Fatalf("Backup = %+v, %v", summary, err)
	}
	if _, _, err := backup.Verify(ctx, bytes.NewReader(file.Bytes())); err != nil {
		t.Errorf("what the client wrote is no backup: %v", err)
	}
	report, err := c.Restore(ctx, "copy", bytes.NewReader(file.Bytes()), pipeline.RestoreOptions{})
	if err != nil || report.Documents != 3 || report.From != "docs" || report.Index != "copy" {
		t.Errorf("Restore = %+v, %v", report, err)
	}
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"there already": {file.Bytes(), retriever.ErrIndexExists},
		"damaged":       {file.Bytes()[:100], pipeline.ErrInvalidBackup},
		"no backup":     {[]byte("hello"), pipeline.ErrInvalidBackup},
	} {
		_, err := c.Restore(ctx, "copy", bytes.NewReader(test.data), pipeline.RestoreOptions{Replace: name != "there already"})
		if !errors.Is(err, test.want) {
			t.Errorf("Restore of a backup %s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := c.Delete(ctx, "copy", []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if err := c.SwapIndexes(ctx, "docs", "copy"); err != nil {
		t.Fatal(err)
	}
	if stats, err := c.Stats(ctx, "docs"); err != nil || stats.Documents != 2 {
		t.Errorf("after the swap there are %d documents, %v; want 2", stats.Documents, err)
	}
	if err := c.SwapIndexes(ctx, "docs", "absent"); !errors.Is(err, retriever.ErrIndexNotFound) {
		t.Errorf("SwapIndexes with a missing index: %v", err)
	}
	if report, err := c.Compact(ctx, "docs"); err != nil || report.Index != "docs" || report.After == 0 {
		t.Errorf("Compact = %+v, %v", report, err)
	}
	if err := c.Verify(ctx, "docs"); err != nil {
		t.Error(err)
	}
	if err := c.DeclareFields(ctx, "docs", map[string]retriever.FieldType{"year": retriever.Number}); err != nil {
		t.Error(err)
	}
	if err := c.DeclareFields(ctx, "docs", map[string]retriever.FieldType{"year": retriever.Date}); !errors.Is(err, retriever.ErrFieldConflict) || !strings.Contains(err.Error(), `"year"`) {
		t.Errorf("DeclareFields against the type: %v, want ErrFieldConflict that names the field", err)
	}
	if err := c.StartRebuild(ctx, "docs", pipeline.RebuildOptions{Split: true}); err != nil {
		t.Fatal(err)
	}
	for {
		status, err := c.RebuildStatus(ctx, "docs")
		if err != nil || status.State == pipeline.RebuildFailed {
			t.Fatalf("RebuildStatus = %+v, %v", status, err)
		}
		if status.State == pipeline.RebuildDone {
			if status.Report == nil || status.Report.Documents != 2 {
				t.Errorf("report = %+v, want 2 documents", status.Report)
			}
			break
		}
	}
	if err := p.Verify(ctx, "docs"); err != nil {
		t.Error(err)
	}
	if stats, err := c.Stats(ctx, "docs"); err != nil || stats.Fields["year"] != retriever.Number {
		t.Errorf("the rebuilt index has fields %v, %v", stats.Fields, err)
	}
}
