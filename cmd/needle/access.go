package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/auth/oidc"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/store"
)

// serverAccess opens the store and decides who may use the server. The function
// close is never nil.
func serverAccess(ctx context.Context, cfg *pipeline.Config, p *pipeline.Pipeline) (access api.Access, closeLog func() error, err error) {
	closeLog = func() error { return nil }
	kept, err := p.Store(ctx)
	if errors.Is(err, store.ErrLocked) {
		return access, closeLog, fmt.Errorf("serve: %w; wait until the command that works on it has finished", err)
	}
	if err != nil {
		return access, closeLog, err
	}
	has, err := kept.HasKeys(ctx)
	if err != nil {
		return access, closeLog, err
	}
	if err := cfg.Server.CheckExposure(has); err != nil {
		return access, closeLog, err
	}
	access = api.Access{
		Store:        kept,
		RequireKeys:  cfg.Server.Auth.Required,
		LocalToken:   auth.KeyPrefix + "local_" + strings.ToLower(rand.Text()),
		DefaultIndex: cfg.Index,

		FeedbackPerHour: cfg.Monitor.Feedback.MaxPerHour, Judging: cfg.Monitor.Feedback.Judging(),
		CORSOrigins: cfg.Server.CORSOrigins,
	}
	if jwt := cfg.Server.Auth.JWT; jwt.Enabled() {
		if access.Tokens, err = tokenVerifier(jwt); err != nil {
			return access, closeLog, err
		}
	}
	if cfg.Server.Audit.File != "" {
		file, err := auditFile(cfg)
		if err != nil {
			return access, closeLog, err
		}
		access.Audit, closeLog = file, file.Close
	}
	return access, closeLog, nil
}

func tokenVerifier(jwt pipeline.JWT) (*oidc.Verifier, error) {
	roles := make(map[string]auth.Grants, len(jwt.Roles))
	for value, texts := range jwt.Roles {
		grants, err := auth.ParseGrants(texts)
		if err != nil {
			return nil, err
		}
		roles[value] = grants
	}
	standard, err := auth.ParseGrants(jwt.DefaultRoles)
	if err != nil {
		return nil, err
	}
	return oidc.New(oidc.Config{
		Issuer: jwt.Issuer, Audience: jwt.Audience, JWKSURL: jwt.JWKSURL, Algorithms: jwt.Algorithms, ClockSkew: jwt.ClockSkew,
		SubjectClaim: jwt.SubjectClaim, RolesClaim: jwt.RolesClaim, GroupsClaim: jwt.GroupsClaim,
		Roles: roles, DefaultGrants: standard, Rate: jwt.Rate,
	})
}

// auditFile opens the audit log. It is written once at the start, so that a
// path that cannot be written is no surprise later.
func auditFile(cfg *pipeline.Config) (*lumberjack.Logger, error) {
	a := cfg.Server.Audit
	path := a.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(cfg.Data, path)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("serve: audit log: %w", err)
	}
	return &lumberjack.Logger{Filename: path, MaxSize: int(a.MaxBytes >> 20), MaxBackups: a.MaxBackups}, nil
}

// A served is where a server listens.
type served struct {
	listener net.Listener
	// local is a listener for tools of this machine, beside one that encrypts;
	// nil if there is no need.
	local net.Listener
	// url is the address, toolURL that for tools.
	url, toolURL string
}

// secure puts TLS in front of a listener, if that is configured.
func secure(ctx context.Context, listener net.Listener, files pipeline.TLS, log *slog.Logger) (served, error) {
	address := listener.Addr().String()
	if files.Cert == "" {
		return served{listener: listener, url: "http://" + address, toolURL: "http://" + address}, nil
	}
	least := uint16(tls.VersionTLS12)
	if files.MinVersion == "1.3" {
		least = tls.VersionTLS13
	}
	config, err := api.NewTLSConfig(api.TLSFiles{Cert: files.Cert, Key: files.Key, ClientCA: files.ClientCA, MinVersion: least}, log)
	if err != nil {
		return served{}, fmt.Errorf("serve: %w", err)
	}
	var listen net.ListenConfig
	local, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return served{}, fmt.Errorf("serve: listen for tools: %w", err)
	}
	return served{tls.NewListener(listener, config), local, "https://" + address, "http://" + local.Addr().String()}, nil
}

// serve answers on all listeners until the context ends, or one of them fails.
func (s served) serve(ctx context.Context, server *api.Server) error {
	if s.local == nil {
		return server.Serve(ctx, s.listener)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		err := server.ServeLocal(ctx, s.local)
		cancel()
		ended <- err
	}()
	err := server.Serve(ctx, s.listener)
	cancel()
	return errors.Join(err, <-ended)
}
