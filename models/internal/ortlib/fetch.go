package ortlib

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errNoClient says why the next package client is tried.
var errNoClient = errors.New("it is not on this machine")

// An attempt is one way that was tried, for the message when all fail.
type attempt struct {
	name string
	err  error
}

// fetch asks the package clients one after the other.
func (s *setup) fetch(ctx context.Context) (Library, error) {
	var attempts []attempt
	for _, c := range s.clients {
		pin, ok := s.trust.packages[c.name]
		if !ok {
			continue
		}
		lib, err := s.fetchWith(ctx, c, pin)
		if err == nil {
			return lib, nil
		}
		if ctx.Err() != nil {
			return Library{}, fmt.Errorf("set up ONNX Runtime: %w", context.Cause(ctx))
		}
		attempts = append(attempts, attempt{c.name, err})
	}
	return Library{}, s.failed(attempts)
}

// fetchWith lets one client deliver the package, then checks archive and
// library before anything reaches the cache.
func (s *setup) fetchWith(ctx context.Context, c client, pin pin) (_ Library, err error) {
	work, err := s.workDir()
	if err != nil {
		return Library{}, err
	}
	// A killed client may still be writing; what cannot be removed now is
	// removed by the next set-up.
	defer func() { _ = os.RemoveAll(work) }()
	out := filepath.Join(work, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return Library{}, err
	}
	if err := s.runClient(ctx, c, pin, work, out); err != nil {
		return Library{}, err
	}
	archive, err := onlyFile(out)
	if err != nil {
		return Library{}, err
	}
	s.progress("check "+c.name+" package", 0, 0)
	sum, err := fileDigest(archive)
	if err != nil {
		return Library{}, err
	}
	if sum != pin.archive {
		return Library{}, fmt.Errorf("%w: the SHA-256 of %s is %s, want %s", ErrDigest, filepath.Base(archive), sum, pin.archive)
	}
	lib, err := s.extract(ctx, archive, work, func(digest string) bool { return digest == pin.library })
	if err != nil {
		return Library{}, err
	}
	if lib.digest != pin.library {
		return Library{}, fmt.Errorf("%w: the SHA-256 of the library is %s, want %s", ErrDigest, lib.digest, pin.library)
	}
	return s.install(lib, c.name+" package "+Version)
}

// runClient starts the first program of a client that is there.
func (s *setup) runClient(ctx context.Context, c client, pin pin, work, out string) error {
	last := errNoClient
	for _, program := range c.programs {
		path, err := exec.LookPath(program[0])
		if err != nil {
			continue
		}
		args := append(program[1:len(program):len(program)], c.arguments(s.platform, work, out)...)
		env := os.Environ()
		if c.environment != nil {
			env = append(env, c.environment(work)...)
		}
		step := "download ONNX Runtime " + Version + " with " + c.name
		output, err := s.watch(ctx, command{path, args, env, work}, step, pin.bytes)
		if err == nil {
			return nil
		}
		last = err
		if c.absent == nil || !c.absent(output) {
			return err
		}
	}
	return last
}

// A command is a program to run in a folder. The folder is its own, away from
// project files that the clients would read.
type command struct {
	path      string
	args, env []string
	work      string
}

// watch runs a command, reports how the largest file in its folder grows, and
// ends the command when nothing moves any more. The clients show no progress
// that could be read, but all of them write what they receive to a file.
func (s *setup) watch(ctx context.Context, c command, step string, total int64) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Timeouts.Total,
		fmt.Errorf("it took longer than %v", s.opts.Timeouts.Total))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	tail := &tailWriter{}
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.work, c.env, tail, tail
	cmd.WaitDelay = 2 * time.Second
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return "", err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()

	const poll = 200 * time.Millisecond
	tick := time.NewTicker(min(poll, s.opts.Timeouts.Start/4))
	defer tick.Stop()
	s.progress(step, 0, total)
	moved, size := time.Now(), int64(0)
	for {
		select {
		case err := <-done:
			switch {
			case err == nil:
				s.progress(step, total, total)
				return tail.String(), nil
			case ctx.Err() != nil:
				return tail.String(), context.Cause(ctx)
			}
			return tail.String(), fmt.Errorf("it failed (%w)%s", err, tail.reason())
		case <-tick.C:
			sum, largest := sizes(c.work)
			if sum != size {
				moved, size = time.Now(), sum
				s.progress(step, min(largest, total), total)
			}
			patience, what := s.opts.Timeouts.Stall, "nothing arrived for"
			if size == 0 {
				patience, what = s.opts.Timeouts.Start, "nothing arrived within"
			}
			if time.Since(moved) > patience {
				stop(fmt.Errorf("%s %v", what, patience))
			}
		}
	}
}

// sizes returns the bytes of all files in a folder and of its largest one.
// Files come and go meanwhile, so what cannot be read counts nothing.
func sizes(dir string) (sum, largest int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
			largest = max(largest, info.Size())
		}
		return nil
	})
	return sum, largest
}

// onlyFile returns the one file that a client left in a folder.
func onlyFile(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) != 1 || !entries[0].Type().IsRegular() {
		return "", fmt.Errorf("it left %d files instead of one package", len(entries))
	}
	return filepath.Join(dir, entries[0].Name()), nil
}

// A tailWriter keeps the end of a command's output. The standard library
// writes to it from one goroutine, as stdout and stderr are the same writer,
// and it is read after the command has ended.
type tailWriter struct{ data []byte }

func (t *tailWriter) Write(p []byte) (int, error) {
	const keep = 8 << 10
	t.data = append(t.data, p...)
	if len(t.data) > keep {
		t.data = append([]byte(nil), t.data[len(t.data)-keep:]...)
	}
	return len(p), nil
}

func (t *tailWriter) String() string { return string(t.data) }

// reason is what the command said last, on one line. Errors are preferred to
// the advice that the clients print after them.
func (t *tailWriter) reason() string {
	var last, lastError string
	for line := range strings.Lines(strings.ToValidUTF8(t.String(), "?")) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' {
				return ' '
			}
			return r
		}, line))
		if line == "" {
			continue
		}
		last = line
		if lower := strings.ToLower(line); lastError == "" && (strings.Contains(lower, "error") || strings.Contains(lower, "err!")) {
			lastError = line
		}
	}
	if lastError != "" {
		last = lastError
	}
	if last == "" {
		return ""
	}
	const most = 300
	if runes := []rune(last); len(runes) > most {
		last = string(runes[:most]) + "..."
	}
	return ": " + last
}
