package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func (a *app) serveCommand() *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the search API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if addr != "" {
				cfg.Server.Addr = addr
				if err := cfg.Validate(); err != nil {
					return err
				}
			}
			return a.serve(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "", "address to listen on (default: the configuration's, 127.0.0.1:8080)")
	return cmd
}

// serve listens before it loads the model, so that a taken port fails at once.
func (a *app) serve(ctx context.Context, cfg *pipeline.Config) error {
	// SIGTERM is how service managers stop a server; that is no error.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if note := runningServer(ctx, cfg.Data); note.URL != "" {
		return fmt.Errorf("serve: a server at %s holds the data directory %s already", note.URL, cfg.Data)
	}
	level := new(slog.LevelVar)
	setLevel(level, cfg.Log.Level)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	watched, err := openTelemetry(ctx, cfg.Telemetry, log)
	if err != nil {
		return err
	}
	defer watched.stop()
	stopProfiles, err := serveProfiles(ctx, cfg.Telemetry.Pprof, log)
	if err != nil {
		return err
	}
	defer stopProfiles()
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", cfg.Server.Addr)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer listener.Close()
	at, err := secure(ctx, listener, cfg.Server.TLS, log)
	if err != nil {
		return err
	}
	quality, err := openMonitor(cfg, log)
	if err != nil {
		return err
	}
	defer quality.close()
	p, err := pipeline.Open(ctx, cfg, watched.pipelineOptions(log, quality.observers())...)
	if errors.Is(err, retriever.ErrLocked) {
		return fmt.Errorf("serve: %w; wait until the command that works on it has finished", err)
	}
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Ready(ctx); errors.Is(err, retriever.ErrUnavailable) {
		log.Warn("not ready yet", "cause", err)
	} else if err != nil {
		return err
	}
	service, err := openShadow(ctx, p, log)
	if err != nil {
		return err
	}
	defer service.Close()
	quality.shadow, quality.feedback = service, newCountedFeedback(p, log)
	watched.watch(p, quality)
	access, closeLog, err := serverAccess(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer closeLog()
	files, err := cfg.Ingester()
	if err != nil {
		return err
	}
	server, err := api.New(service, api.Config{Version: version(), MaxBodyBytes: int64(cfg.Server.MaxBodyBytes), MaxFileBytes: int64(cfg.Server.MaxFileBytes), Files: files, Hosts: cfg.Server.Hosts, Access: access, Metrics: watched.metrics, Observer: watched.requests()}, log)
	if err != nil {
		return err
	}
	remove, err := noteServer(cfg.Data, serverNote{URL: at.toolURL, PID: os.Getpid(), Token: access.LocalToken})
	if err != nil {
		return err
	}
	defer remove()
	reloading := make(chan struct{})
	go func() {
		defer close(reloading)
		a.reloadOnHangup(ctx, cfg, p, level, log)
	}()
	defer func() {
		stop()
		<-reloading
	}()
	log.Info("serving", "url", at.url, "data", cfg.Data, "model", p.Model().Name, "precision", p.Model().Precision)
	defer startSweeping(ctx, p, sweepEvery, log)()
	defer quality.start(ctx, p, log)()
	return at.serve(ctx, server)
}
