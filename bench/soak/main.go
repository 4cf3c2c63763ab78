// Command soak lets a real Needle server answer mixed traffic for a while and
// fails if an answer was wrong or stale, or if the server holds more and more:
//
//	go build -o needle ./cmd/needle
//	go run ./bench/soak -needle ./needle -seconds 1800
//
// It starts two servers on loopback with data of their own, sends one of them
// questions, streams, searches, documents to read and to order, feedback, writes
// of all kinds, exchanges of the model and clients that go away, and holds every
// answer against what was written. See the package workload for what is checked.
// The report is a JSON object.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/needle-search/needle/bench/soak/workload"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	needle := flag.String("needle", "", "the binary to start")
	bundle := flag.String("bundle", "", "a second bundle to read with, in turn (default: a copy of the embedded one)")
	seconds := flag.Int("seconds", 1800, "how long, 10 to 86400")
	askers := flag.Int("askers", 2, "clients that ask at a time")
	writers := flag.Int("writers", 2, "clients that write at a time")
	facts := flag.Int("facts", 60, "documents")
	between := flag.Duration("between", time.Minute, "from one checkpoint to the next")
	seed := flag.Uint64("seed", 1, "of the traffic")
	keep := flag.Bool("keep", false, "keep the data and the logs of the servers")
	flag.Parse()
	if *needle == "" || *seconds < 10 || *seconds > 86400 {
		return errors.New("-needle is missing, or -seconds is not 10 to 86400")
	}
	binary, err := filepath.Abs(*needle)
	if err != nil {
		return err
	}
	if *bundle != "" {
		if *bundle, err = filepath.Abs(*bundle); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "needle-soak-")
	if err != nil {
		return err
	}
	if *keep {
		fmt.Fprintln(os.Stderr, "data and logs:", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	report, err := workload.Run(ctx, workload.Config{
		Command: []string{binary}, Dir: dir, Bundle: *bundle, Duration: time.Duration(*seconds) * time.Second,
		Askers: *askers, Writers: *writers, Facts: *facts, Between: *between, Seed: *seed, Log: os.Stderr,
	})
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	return errors.Join(encoder.Encode(report), report.Err())
}
