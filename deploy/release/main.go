// Command release builds what is published of a version: for every platform that
// this machine can build an archive with the program, for Linux a Debian package
// too, a list of what each program is made of (CycloneDX) and checksums of all.
//
//	go -C deploy/release run . -version 1.2.3 -out ../../dist
//
// It is a module of its own so that what packs the program is not among what the
// program depends on. Two runs on the same commit with the same compilers write
// the same bytes.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// A release is one version of one commit.
type release struct {
	root    string // of the repository
	out     string
	version string // without a leading v
	commit  string
	date    time.Time
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	out := flags.String("out", "dist", "directory for the files, which must be empty or new")
	version := flags.String("version", "", "version without v (default: by the last tag, else 0.0.0-dev)")
	platforms := flags.String("platforms", "", "comma-separated list such as linux/amd64,linux/arm64 (default: all that this machine can build)")
	prebuilt := flags.String("prebuilt", "", "pack this program for the platform of this machine and build nothing, to try the packing out")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := newRelease(ctx, *out, *version)
	if err != nil {
		return err
	}
	targets, skipped, err := chooseTargets(*platforms)
	if err != nil {
		return err
	}
	if *prebuilt != "" {
		targets, skipped = []target{host()}, nil
	}
	for _, s := range skipped {
		fmt.Println("left out:", s)
	}
	for _, t := range targets {
		if err := r.make(ctx, t, *prebuilt); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return r.checksums()
}

func newRelease(ctx context.Context, out, version string) (*release, error) {
	root, err := output(ctx, ".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	r := &release{root: root}
	if r.out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(r.out); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty; what an earlier run left would be listed with this one's", r.out)
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return nil, err
	}
	if r.commit, err = output(ctx, root, "git", "rev-parse", "HEAD"); err != nil {
		return nil, err
	}
	seconds, err := output(ctx, root, "git", "show", "-s", "--format=%ct", "HEAD")
	if err != nil {
		return nil, err
	}
	unix, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), seconds), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	r.date = time.Unix(unix, 0).UTC()
	changed, err := output(ctx, root, "git", "status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return nil, err
	}
	if version == "" {
		tag, err := output(ctx, root, "git", "describe", "--tags", "--exact-match", "--match", "v[0-9]*", "HEAD")
		if err != nil {
			tag = "0.0.0-dev." + r.date.Format("20060102150405")
		}
		version = tag
	} else if changed != "" {
		return nil, errors.New("files differ from the commit; a version is built from a commit alone:\n" + changed)
	}
	if changed != "" {
		r.commit += "+dirty"
	}
	r.version = strings.TrimPrefix(version, "v")
	if !validVersion(r.version) {
		return nil, fmt.Errorf("version %q: wanted is MAJOR.MINOR.PATCH, or that with -SUFFIX", version)
	}
	return r, nil
}

// make builds and packs one platform.
func (r *release) make(ctx context.Context, t target, prebuilt string) (err error) {
	fmt.Printf("%s: building\n", t)
	work, err := os.MkdirTemp("", "needle-release-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	program := filepath.Join(work, "needle")
	if prebuilt != "" {
		data, err := os.ReadFile(prebuilt)
		if err != nil {
			return err
		}
		if err := os.WriteFile(program, data, 0o755); err != nil {
			return err
		}
	} else if err := r.build(ctx, t, program); err != nil {
		return err
	}
	if t == host() && prebuilt == "" {
		if err := r.checkProgram(ctx, program); err != nil {
			return err
		}
	}
	parts, err := readParts(ctx, r.root, "./cmd/needle", t, program)
	if err != nil {
		return err
	}
	files, err := r.files(program, parts)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("needle_%s_%s_%s", r.version, t.os, t.arch)
	if err := writeArchive(filepath.Join(r.out, name+".tar.gz"), name, files, r.date); err != nil {
		return err
	}
	if err := r.writeBOM(filepath.Join(r.out, name+".cdx.json"), t, parts); err != nil {
		return err
	}
	if t.os == "linux" {
		return r.writeDeb(filepath.Join(r.out, name+".deb"), t, program, files)
	}
	return nil
}

// checkProgram holds what the program says of itself against what it should.
func (r *release) checkProgram(ctx context.Context, program string) error {
	said, err := output(ctx, r.root, program, "version", "--json")
	if err != nil {
		return err
	}
	var info struct{ Version, Commit, Date string }
	if err := json.Unmarshal([]byte(said), &info); err != nil {
		return err
	}
	if info.Version != r.version || info.Commit != r.commit || info.Date != r.date.Format(time.RFC3339) {
		return fmt.Errorf("the program says %+v; want version %s, commit %s, date %s", info, r.version, r.commit, r.date.Format(time.RFC3339))
	}
	return nil
}

// output runs a command and returns what it printed, without the last newline.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(faults.Bytes()))
	}
	return strings.TrimRight(string(out), "\n"), nil
}
