package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestArchiveIsReproducible(t *testing.T) {
	files := []file{{"needle", []byte("program"), 0o755}, {"docs/guide.md", []byte("text"), 0o644}}
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var archives [2][]byte
	for i := range archives {
		path := filepath.Join(t.TempDir(), "a.tar.gz")
		if err := writeArchive(path, "needle_1.0.0", files, date); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same files differ")
	}
	packed, err := gzip.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for r := tar.NewReader(packed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = h.Mode
		if !h.ModTime.Equal(date) || h.Uid != 0 {
			t.Errorf("%s: got time %s and owner %d, want those of the release", h.Name, h.ModTime, h.Uid)
		}
	}
	if len(got) != 2 || got["needle_1.0.0/needle"] != 0o755 || got["needle_1.0.0/docs/guide.md"] != 0o644 {
		t.Errorf("got %v", got)
	}
}

func TestValidVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"1.2.3": true, "0.0.0-dev.20260102": true, "1.0.0-rc.1": true,
		"1.2": false, "v1.2.3": false, "1.2.3+x": false, "01.2.3": false, "1.2.3-": false, "": false, "../1.2.3": false,
	} {
		if got := validVersion(version); got != want {
			t.Errorf("%q: got %v, want %v", version, got, want)
		}
	}
}

func TestChooseTargets(t *testing.T) {
	t.Setenv("CC_plan9_mips", "")
	if _, _, err := chooseTargets("plan9/mips"); err == nil || !strings.Contains(err.Error(), "CC_plan9_mips") {
		t.Errorf("a platform without compiler: got %v, want an error that says how to name one", err)
	}
	if _, _, err := chooseTargets("linux"); err == nil {
		t.Error("half a platform is accepted")
	}
	t.Setenv("CC_linux_arm64", "my-cc -x")
	chosen, _, err := chooseTargets("linux/arm64")
	if err != nil || len(chosen) != 1 || strings.Join(chosen[0].compiler(), " ") != "my-cc -x" {
		t.Errorf("got %v, %v", chosen, err)
	}
}

// TestPackage packs this test as if it were the program and looks into the
// package with Debian's own tool.
func TestPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("dpkg-deb is missing")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	// A program of this module that was built with cgo.
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := &release{root: root, out: t.TempDir(), version: "1.2.3-rc.1", commit: "abc", date: time.Unix(1e9, 0).UTC()}
	deb := filepath.Join(r.out, "needle.deb")
	if err := r.writeDeb(deb, target{"linux", "amd64"}, program, []file{{"LICENSE", []byte("text"), 0o644}, {"docs/guide.md", []byte("guide"), 0o644}}); err != nil {
		t.Fatal(err)
	}
	show := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "dpkg-deb", append(args, deb)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	for _, want := range []string{"Package: needle", "Version: 1.2.3~rc.1", "Architecture: amd64", "libc6 (>= 2."} {
		if got := show("--info"); !strings.Contains(got, want) {
			t.Errorf("dpkg-deb --info: got\n%s\nwant %q in it", got, want)
		}
	}
	for _, want := range []string{"./usr/bin/needle", "./usr/lib/systemd/system/needle.service", "./etc/needle/needle.yaml", "./usr/share/doc/needle/copyright", "./usr/share/doc/needle/docs/guide.md"} {
		if got := show("--contents"); !strings.Contains(got, want) {
			t.Errorf("dpkg-deb --contents: got\n%s\nwant %q in it", got, want)
		}
	}
	parts, err := readParts(t.Context(), ".", ".", host(), program)
	if err != nil {
		t.Fatal(err)
	}
	bom := filepath.Join(r.out, "bom.json")
	if err := r.writeBOM(bom, target{"linux", "amd64"}, parts); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(bom)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Format     string `json:"bomFormat"`
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range got.Components {
		found[c.Name] = c.Version
	}
	if got.Format != "CycloneDX" || found["github.com/goreleaser/nfpm/v2"] != "v2.48.0" || found["needle-bundle"] != "1.2.3-rc.1" {
		t.Errorf("got the format %q and the components %v", got.Format, found)
	}
	notices, err := writeNotices(root, parts)
	if err != nil || !bytes.Contains(notices, []byte("github.com/goreleaser/nfpm/v2 v2.48.0")) {
		t.Errorf("the notices lack a part, or fail: %v", err)
	}
	if _, err := writeNotices(root, append(parts, part{path: "example.com/bare", version: "v1.0.0", dir: t.TempDir()})); err == nil || !strings.Contains(err.Error(), "example.com/bare") {
		t.Errorf("a part without a licence: got %v, want an error that names it", err)
	}
}
