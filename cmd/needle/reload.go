package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/needle-search/needle/pipeline"
)

// reloadOnHangup reads the configuration again at every SIGHUP and takes over
// what a running server can. A file with a fault changes nothing. It returns
// when the context ends.
func (a *app) reloadOnHangup(ctx context.Context, running *pipeline.Config, p *pipeline.Pipeline, level *slog.LevelVar, log *slog.Logger) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	now := *running
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		next, err := a.config()
		if err != nil {
			log.Error("reload: the configuration has a fault, so nothing changes", "error", err)
			continue
		}
		// The flag --addr came over the file when the server started.
		next.Server.Addr = running.Server.Addr
		live, restart := now.Reloadable(next)
		p.SetLimits(next.Limits)
		setLevel(level, next.Log.Level)
		now.Log, now.Limits = next.Log, pipelineLimits(now.Limits, next.Limits)
		attrs := []any{"changed", strings.Join(live, " ")}
		if len(restart) > 0 {
			log.Warn("reload: some keys need a restart", append(attrs, "restart", strings.Join(restart, " "))...)
			continue
		}
		log.Info("reload: done", attrs...)
	}
}

// pipelineLimits is what is in force after a reload: keys that need a restart
// stay, so that the next reload names them again.
func pipelineLimits(now, next pipeline.Limits) pipeline.Limits {
	now.Timeout, now.Budget = next.Timeout, next.Budget
	now.MaxQuestionTokens, now.MaxDocumentBytes = next.MaxQuestionTokens, next.MaxDocumentBytes
	if now.CacheBytes > 0 && next.CacheBytes > 0 {
		now.CacheBytes = next.CacheBytes
	}
	return now
}

func setLevel(level *slog.LevelVar, name string) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err == nil {
		level.Set(l)
	}
}
