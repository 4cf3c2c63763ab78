package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBackupIsSynced watches the system calls of a backup: its file is on disk
// before it gets its name, and the name is before the command ends.
func TestBackupIsSynced(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("strace is not installed; without it nothing shows the order of the system calls")
	}
	data, folder := t.TempDir(), t.TempDir()
	mustNeedle(t, "index", "add", write(t, t.TempDir(), "tower.txt", "The tower opened in 1889."), "--data", data)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-s", "200", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2", "-o", trace,
		binary, "index", "backup", filepath.Join(folder, "monday.needle"), "--data", data)
	cmd.Env = append(os.Environ(), asNeedle+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") && os.Getenv("CI") != "true" {
			t.Skip("this machine does not let strace trace: " + string(out))
		}
		t.Fatalf("%v: %s", err, out)
	}
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	rest := string(calls)
	place := regexp.QuoteMeta(folder)
	for _, pattern := range []string{
		`(fsync|fdatasync)\(\d+<` + place + `/\.monday\.needle\.\d+>`,
		`rename[a-z0-9]*\(.*/monday\.needle"`,
		`(fsync|fdatasync)\(\d+<` + place + `>`,
	} {
		at := regexp.MustCompile(pattern).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("no %s, in this order:\n%s", pattern, calls)
		}
		rest = rest[at[1]:]
	}
}
