package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/needle-search/needle/pipeline"
)

// sweepEvery is how often a server removes what has expired, which is a day old
// by then.
const sweepEvery = time.Hour

// startSweeping removes what has expired now and every hour, until the context
// ends or stop is called, which waits for the end.
func startSweeping(ctx context.Context, p *pipeline.Pipeline, every time.Duration, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			report, err := p.Sweep(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				log.Warn("what has expired could not be removed; the next attempt follows", "in", every.String(), "error", err)
			case report != pipeline.SweepReport{}:
				log.Info("swept", "expired", report.Expired, "erased_documents", report.Erased)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
