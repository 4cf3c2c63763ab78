package main

import (
	"cmp"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A target is a platform to build for. Needle calls ONNX Runtime through cgo, so
// every platform needs a C compiler.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "/" + t.arch }

func host() target { return target{runtime.GOOS, runtime.GOARCH} }

// crossCompilers are the commands that build for a platform elsewhere, the
// first one found is taken. Zig brings a C library of every version, so its
// builds run on older systems too.
func crossCompilers(t target) [][]string {
	switch t {
	case target{"linux", "amd64"}:
		return [][]string{{"x86_64-linux-gnu-gcc"}, {"zig", "cc", "-target", "x86_64-linux-gnu.2.28"}}
	case target{"linux", "arm64"}:
		return [][]string{{"aarch64-linux-gnu-gcc"}, {"zig", "cc", "-target", "aarch64-linux-gnu.2.28"}}
	}
	return nil
}

// variable is the environment variable that names another compiler.
func (t target) variable() string { return "CC_" + t.os + "_" + t.arch }

// compiler returns the C compiler for a platform, nil if there is none.
func (t target) compiler() []string {
	if given := os.Getenv(t.variable()); given != "" {
		return strings.Fields(given)
	}
	if t == host() {
		return []string{cmp.Or(os.Getenv("CC"), "cc")}
	}
	for _, c := range crossCompilers(t) {
		if _, err := exec.LookPath(c[0]); err == nil {
			return c
		}
	}
	return nil
}

// chooseTargets returns what to build, and why the rest is left out. What was
// asked for by name must be possible.
func chooseTargets(list string) (chosen []target, skipped []string, err error) {
	if list == "" {
		for _, t := range slices.Compact([]target{host(), {"linux", "amd64"}, {"linux", "arm64"}}) {
			switch {
			case slices.Contains(chosen, t):
			case t.compiler() == nil:
				skipped = append(skipped, fmt.Sprintf("%s: no C compiler for it is here (%s would name one)", t, t.variable()))
			default:
				chosen = append(chosen, t)
			}
		}
		return chosen, skipped, nil
	}
	for _, name := range strings.Split(list, ",") {
		system, arch, ok := strings.Cut(strings.TrimSpace(name), "/")
		t := target{system, arch}
		if !ok || system == "" || arch == "" {
			return nil, nil, fmt.Errorf("platform %q: wanted is OS/ARCHITECTURE", name)
		}
		if t.compiler() == nil {
			return nil, nil, fmt.Errorf("platform %s: no C compiler for it is here; name one in %s", t, t.variable())
		}
		chosen = append(chosen, t)
	}
	return chosen, nil, nil
}

// build compiles the program.
func (r *release) build(ctx context.Context, t target, program string) error {
	const where = "github.com/needle-search/needle/internal/buildinfo."
	flags := fmt.Sprintf("-s -w -X %sversion=%s -X %scommit=%s -X %sdate=%s", where, r.version, where, r.commit, where, r.date.Format(time.RFC3339))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", program, "./cmd/needle")
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS="+t.os, "GOARCH="+t.arch, "CC="+strings.Join(t.compiler(), " "))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

var glibcVersion = regexp.MustCompile(`^GLIBC_(\d+)\.(\d+)`)

// neededLibc returns the oldest C library that has every function which the
// program calls, such as 2.34.
func neededLibc(program string) (string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return "", err
	}
	defer f.Close()
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return "", err
	}
	major, minor := 2, 17 // the first one on every architecture
	for _, s := range symbols {
		m := glibcVersion.FindStringSubmatch(s.Version)
		if m == nil {
			continue
		}
		a, _ := strconv.Atoi(m[1])
		b, _ := strconv.Atoi(m[2])
		if a > major || a == major && b > minor {
			major, minor = a, b
		}
	}
	return fmt.Sprintf("%d.%d", major, minor), nil
}

var versionShape = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// validVersion accepts semantic versions without build metadata, which file
// names and Debian cannot take.
func validVersion(v string) bool { return versionShape.MatchString(v) }
