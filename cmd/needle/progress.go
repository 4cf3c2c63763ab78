package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bar shows progress: a bar with rate and time left on a terminal, a plain line
// now and then elsewhere.
type bar struct {
	mu      sync.Mutex
	out     io.Writer
	label   string
	total   int64
	bytes   bool
	drawn   *progressbar.ProgressBar // nil where there is no terminal
	started time.Time
	printed time.Time
	current int64
}

// plainInterval is the time between two plain lines.
const plainInterval = 5 * time.Second

func newBar(label string, total int64) *bar { return newBarOn(os.Stderr, label, total, false) }

func newByteBar(label string, total int64) *bar { return newBarOn(os.Stderr, label, total, true) }

func newBarOn(out *os.File, label string, total int64, bytes bool) *bar {
	now := time.Now()
	b := &bar{out: out, label: label, total: total, bytes: bytes, started: now, printed: now}
	if term.IsTerminal(int(out.Fd())) {
		options := []progressbar.Option{
			progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(label),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionShowElapsedTimeOnFinish(),
			progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(),
		}
		if bytes {
			options = append(options, progressbar.OptionShowBytes(true))
		} else {
			options = append(options, progressbar.OptionShowIts())
		}
		b.drawn = progressbar.NewOptions64(total, options...)
	}
	return b
}

// SetTotal changes the total as more work is found.
func (b *bar) SetTotal(total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if total == b.total {
		return
	}
	b.total = total
	if b.drawn != nil {
		b.drawn.ChangeMax64(total)
	}
}

// Set shows how much is done.
func (b *bar) Set(done int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = max(b.current, done)
	if b.drawn != nil {
		// A bar that cannot be drawn is no reason to stop the work.
		_ = b.drawn.Set64(b.current)
		return
	}
	if now := time.Now(); now.Sub(b.printed) >= plainInterval {
		b.printed = now
		b.line(now)
	}
}

func (b *bar) line(now time.Time) {
	rate := float64(b.current) / max(now.Sub(b.started).Seconds(), 1e-9)
	left := ""
	if rate > 0 && b.total > b.current {
		left = ", " + (time.Duration(float64(b.total-b.current)/rate) * time.Second).Round(time.Second).String() + " left"
	}
	if b.bytes {
		fmt.Fprintf(b.out, "%s: %.1f of %.1f MB, %.1f MB/s%s\n", b.label, float64(b.current)/1e6, float64(b.total)/1e6, rate/1e6, left)
		return
	}
	fmt.Fprintf(b.out, "%s: %d of %d, %.1f/s%s\n", b.label, b.current, b.total, rate, left)
}

// Close ends the bar and leaves the terminal clean.
func (b *bar) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drawn != nil {
		_ = b.drawn.Finish()
		_ = b.drawn.Clear()
	}
}
