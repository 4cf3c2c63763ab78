package api

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
)

// A Config sets the limits of a server. Zero values stand for the defaults.
type Config struct {
	// MaxBodyBytes is the longest body of one document and the longest line of
	// a bulk request; 0 means 96 MiB. Four times as much is buffered for all
	// requests together; more must wait.
	MaxBodyBytes int64
	// Files processes uploaded files; nil means that none are taken. Where it
	// would put their documents does not matter.
	Files *ingest.Ingester
	// MaxFileBytes is the largest file of an upload; 0 means 256 MiB. Files
	// wait on disk.
	MaxFileBytes int64
	// MaxRequests is how many requests may run at once; 0 means 256.
	MaxRequests int
	// MaxHeaderBytes is the longest header; 0 means 64 KiB.
	MaxHeaderBytes int
	// ReadHeaderTimeout ends a connection whose header does not come; 0 means
	// 10 s.
	ReadHeaderTimeout time.Duration
	// BodyTimeout ends a request whose body does not come; in a bulk request it
	// is the longest silence. 0 means 60 s.
	BodyTimeout time.Duration
	// WriteTimeout ends a request whose answer is not fetched; in a bulk
	// request it counts for each batch of results. 0 means 60 s.
	WriteTimeout time.Duration
	// IdleTimeout closes a connection without requests; 0 means 2 min.
	IdleTimeout time.Duration
	// DrainTimeout is how long running requests may go on after the end; 0
	// means 30 s.
	DrainTimeout time.Duration
	// Version, unless empty, is what GET /healthz says of the program.
	Version string
	// Hosts are the names besides localhost and IP addresses that requests to
	// a loopback address may be sent to, for a proxy that passes its own name
	// on.
	Hosts []string
	// Observer, when set, is told of every request.
	Observer Observer
	// Metrics, when set, answers GET /metrics.
	Metrics http.Handler
	Access
}

func (c Config) withDefaults() (Config, error) {
	var faults []error
	fill := func(key string, value *time.Duration, standard time.Duration) {
		switch {
		case *value < 0:
			faults = append(faults, fmt.Errorf("%s: %v; allowed is 0 (%v) or more", key, *value, standard))
		case *value == 0:
			*value = standard
		}
	}
	fill("ReadHeaderTimeout", &c.ReadHeaderTimeout, 10*time.Second)
	fill("BodyTimeout", &c.BodyTimeout, time.Minute)
	fill("WriteTimeout", &c.WriteTimeout, time.Minute)
	fill("IdleTimeout", &c.IdleTimeout, 2*time.Minute)
	fill("DrainTimeout", &c.DrainTimeout, 30*time.Second)
	if c.MaxFileBytes < 0 || c.MaxBodyBytes < 0 || c.MaxRequests < 0 || c.MaxHeaderBytes < 0 {
		faults = append(faults, errors.New("MaxBodyBytes, MaxFileBytes, MaxRequests, MaxHeaderBytes: allowed is 0 (the default) or more"))
	}
	c.Access = c.Access.withDefaults()
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = 96 << 20
	}
	if c.MaxFileBytes == 0 {
		c.MaxFileBytes = 256 << 20
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 256
	}
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = 64 << 10
	}
	return c, errors.Join(faults...)
}

// A Server serves a pipeline over HTTP. It is safe for concurrent use.
type Server struct {
	service pipeline.Service
	config  Config
	logger  *slog.Logger
	engine  *gin.Engine
	// running has a place for every request that may run.
	running chan struct{}
	// memory is what request bodies may take, all together.
	memory *semaphore.Weighted
	origin *http.CrossOriginProtection

	handler  http.Handler
	rules    map[string]rule
	auditLog auditLog
	limiters limiters
	// feedbackLimiters hold what each caller may still say of answers.
	feedbackLimiters limiters
	locks            documentLocks
}

// New returns a server in front of a service. A nil logger is silent.
func New(service pipeline.Service, config Config, logger *slog.Logger) (*Server, error) {
	if service == nil {
		return nil, errors.New("api: the service is nil")
	}
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("api: configuration: %w", err)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		service: service,
		config:  config,
		logger:  logger,
		running: make(chan struct{}, config.MaxRequests),
		memory:  semaphore.NewWeighted(4 * config.MaxBodyBytes),
		origin:  http.NewCrossOriginProtection(),
		rules:   rules(),
	}
	s.locks.seed = maphash.MakeSeed()
	s.limiters.byID, s.feedbackLimiters.byID = make(map[string]*rate.Limiter), make(map[string]*rate.Limiter)
	s.auditLog.out = config.Audit
	s.engine = newEngine(s.routes)
	if s.handler, err = s.crossOrigin(s.engine); err != nil {
		return nil, fmt.Errorf("api: configuration: %w", err)
	}
	return s, nil
}

// ginMode guards gin's mode, which is a variable of the whole process.
var ginMode sync.Mutex //nolint:gochecknoglobals // guards a global of gin

// newEngine makes a gin engine with routes and prints nothing. Gin decides by a
// process-wide mode whether to print meanwhile; the mode is put back, because
// it belongs to the program that embeds this package.
func newEngine(routes func(*gin.Engine)) *gin.Engine {
	ginMode.Lock()
	defer ginMode.Unlock()
	mode := gin.Mode()
	gin.SetMode(gin.ReleaseMode)
	defer gin.SetMode(mode)
	engine := gin.New()
	engine.RedirectTrailingSlash = false
	engine.HandleMethodNotAllowed = true
	engine.ForwardedByClientIP = false
	// Document ids hold slashes, plus signs and percent signs. Routing sees the
	// path as it was sent; parameters are unescaped by this package, because
	// gin takes a plus sign for a space.
	engine.UseEscapedPath = true
	engine.UnescapePathValues = false
	routes(engine)
	return engine
}

// Handler returns the HTTP handler, for tests and for programs that bring their
// own server.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers requests on the listener until the context ends. It then takes
// no new ones, lets those that are running finish for DrainTimeout, cancels the
// rest and returns nil, or an error if some had to be cut off. It closes the
// listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	base, cancelRequests := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelRequests(pipeline.ErrClosed)
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: s.config.ReadHeaderTimeout,
		// Counts until the body is read; see takeBody. WriteTimeout would count
		// the time to compute an answer as well, so deadlines for writing are
		// set by the handlers.
		ReadTimeout:    s.config.BodyTimeout,
		IdleTimeout:    s.config.IdleTimeout,
		MaxHeaderBytes: s.config.MaxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
		BaseContext:    func(net.Listener) context.Context { return base },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("api: serve: %w", err)
	case <-ctx.Done():
	}
	s.logger.Info("draining", "timeout", s.config.DrainTimeout.String())
	err := shutdown(base, server, s.config.DrainTimeout)
	if err != nil {
		// Cancelled requests end soon; they get a moment to say so.
		cancelRequests(pipeline.ErrClosed)
		err = fmt.Errorf("api: requests were still running %v after the end: %w", s.config.DrainTimeout, err)
		if shutdown(context.WithoutCancel(base), server, 5*time.Second) != nil {
			err = errors.Join(err, server.Close())
		}
	}
	<-served
	return err
}

func shutdown(ctx context.Context, server *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return server.Shutdown(ctx)
}
