package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/needle-search/needle/api/client"
)

// A server is a Needle server that this package started.
type server struct {
	command *exec.Cmd
	exited  chan struct{}
	err     error // of the process, once exited is closed
	// url and profiles are where it answers, client speaks to it.
	url, profiles string
	client        *client.Client
	transport     *http.Transport
}

// start runs a server on a new data directory. What it says goes to a file
// beside it.
func start(ctx context.Context, c Config, name string, cacheBytes int64) (s *server, err error) {
	dir := filepath.Join(c.Dir, name)
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	profiles, err := freeAddress(ctx)
	if err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	// Other work on the machine must not leave nothing but refusals to check.
	settings := fmt.Sprintf("data: %q\nlimits: {cache_bytes: %d, max_wait: 10s}\nserver: {addr: \"127.0.0.1:0\"}\ntelemetry: {pprof: %q}\nlog: {level: warn}\n", data, cacheBytes, profiles)
	config := filepath.Join(dir, "needle.yaml")
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	defer log.Close()
	args := append(append([]string{}, c.Command[1:]...), "serve", "--config", config)
	// Not bound to the context: it is to end in good order.
	s = &server{command: exec.Command(c.Command[0], args...), exited: make(chan struct{}), profiles: "http://" + profiles} //nolint:noctx,gosec // see above; the command is the caller's
	s.command.Env = append(os.Environ(), c.Env...)
	s.command.Stdout, s.command.Stderr = log, log
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("workload: start the server: %w", err)
	}
	go func() {
		s.err = s.command.Wait()
		close(s.exited)
	}()
	if err := s.connect(ctx, data, c.Via); err != nil {
		return nil, errors.Join(fmt.Errorf("workload: the server %s does not come up, see %s: %w", name, log.Name(), err), s.stop())
	}
	return s, nil
}

// freeAddress is an address on loopback that nobody listens on now.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// startup is how long a server may take until it is ready.
const startup = 2 * time.Minute

// connect finds the address that the server noted in its data directory.
func (s *server) connect(ctx context.Context, data string, via func(url string) string) error {
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	for s.client == nil {
		if err := s.pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
		var note struct{ URL string }
		text, err := os.ReadFile(filepath.Join(data, "server.json"))
		if err != nil || json.Unmarshal(text, &note) != nil || note.URL == "" {
			continue
		}
		s.url = note.URL
		asked := s.url
		if via != nil {
			asked = via(s.url)
		}
		s.transport = &http.Transport{MaxIdleConnsPerHost: 64}
		if s.client, err = client.New(asked, &http.Client{Transport: s.transport}); err != nil {
			return err
		}
	}
	for {
		err := s.client.Ready(ctx)
		if err == nil {
			return nil
		}
		if ended := s.pause(ctx, 100*time.Millisecond); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

// pause waits; it fails when the server has gone.
func (s *server) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.exited:
		return fmt.Errorf("the server has gone: %w", errors.Join(s.err, errGone))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errGone = errors.New("it was not told to")

// patience is how long a server may take to end.
const patience = time.Minute

// stop ends the server in good order; that it does not end so is an error.
func (s *server) stop() error {
	if s == nil {
		return nil
	}
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
	select {
	case <-s.exited:
		return fmt.Errorf("workload: the server has gone: %w", errors.Join(s.err, errGone))
	default:
	}
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	select {
	case <-s.exited:
		if s.err != nil {
			return fmt.Errorf("workload: the server ended with %w", s.err)
		}
		return nil
	case <-time.After(patience):
		err := s.command.Process.Kill()
		<-s.exited
		return errors.Join(fmt.Errorf("workload: the server did not end within %v", patience), err)
	}
}
