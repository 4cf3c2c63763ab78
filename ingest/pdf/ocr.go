package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrOCR says that the OCR command failed.
var ErrOCR = errors.New("the OCR command (ingest.pdf.ocr) failed")

// waitDelay is how long a command that was killed may keep its output open.
const waitDelay = 5 * time.Second

func validCommand(command []string) error {
	if len(command) == 0 {
		return nil
	}
	for _, want := range []string{"{input}", "{output}"} {
		if !slices.ContainsFunc(command[1:], func(s string) bool { return strings.Contains(s, want) }) {
			return fmt.Errorf("%q; allowed is a command with its arguments, {input} and {output} among them", strings.Join(command, " "))
		}
	}
	return nil
}

// recognise lets the configured command add a text layer to a copy of the file
// and reads that. The command is run without a shell.
func (p *Processor) recognise(ctx context.Context, content *io.SectionReader, maxBytes int64) (_ *document, err error) {
	dir, err := os.MkdirTemp("", "needle-ocr-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOCR, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	input, output := filepath.Join(dir, "input.pdf"), filepath.Join(dir, "output.pdf")
	if err := copyTo(input, content); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOCR, err)
	}
	limited, cancel := context.WithTimeout(ctx, p.config.OCRTimeout)
	defer cancel()
	replace := strings.NewReplacer("{input}", input, "{output}", output)
	args := make([]string, len(p.config.OCR))
	for i, arg := range p.config.OCR {
		args[i] = replace.Replace(arg)
	}
	cmd := exec.CommandContext(limited, args[0], args[1:]...)
	cmd.Dir = dir
	said := tail{}
	cmd.Stdout, cmd.Stderr = &said, &said
	killWithChildren(cmd)
	cmd.WaitDelay = waitDelay
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if limited.Err() != nil {
			return nil, fmt.Errorf("%w: it took more than %s (ingest.pdf.ocr_timeout)", ErrOCR, p.config.OCRTimeout)
		}
		return nil, fmt.Errorf("%w: %w: %s", ErrOCR, err, said.last())
	}
	f, err := os.Open(output)
	if err != nil {
		return nil, fmt.Errorf("%w: it ended well but wrote no {output}", ErrOCR)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOCR, err)
	}
	return p.read(ctx, io.NewSectionReader(f, 0, info.Size()), maxBytes)
}

func copyTo(path string, content *io.SectionReader) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, io.NewSectionReader(content, 0, content.Size()))
	return err
}

// A tail keeps the end of what a command says.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > 4096 {
		t.b = t.b[len(t.b)-4096:]
	}
	return len(p), nil
}

// last returns the last line that says something.
func (t *tail) last() string {
	lines := bytes.Split(bytes.TrimSpace(t.b), []byte("\n"))
	return strings.ToValidUTF8(string(lines[len(lines)-1]), "")
}
