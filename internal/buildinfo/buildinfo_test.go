package buildinfo_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/needle-search/needle/internal/buildinfo"
)

func TestGet(t *testing.T) {
	got := buildinfo.Get()
	if got.Version == "" || got.Commit == "" || got.Date == "" || got.Go != runtime.Version() || got.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("got %+v, want every field filled", got)
	}
}

// TestLinked: what a release passes to the linker is what the program says, so a
// renamed variable is noticed here and not by those who read a bug report.
func TestLinked(t *testing.T) {
	const path = "github.com/needle-search/needle/internal/buildinfo."
	program := filepath.Join(t.TempDir(), "show")
	flags := "-X " + path + "version=v1.2.3 -X " + path + "commit=abc -X " + path + "date=2026-01-02T03:04:05Z"
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags", flags, "-o", program, "./testdata/show").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got buildinfo.Info
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != "1.2.3" || got.Commit != "abc" || got.Date != "2026-01-02T03:04:05Z" {
		t.Errorf("got %+v, want what the linker was told", got)
	}
}
