package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// connection is a pipeline of our own or one behind a running server.
type connection struct {
	pipeline.Service
	config *pipeline.Config
	local  *pipeline.Pipeline // nil when a server does the work
}

func (c *connection) Close() error {
	if c.local == nil {
		return nil
	}
	return c.local.Close()
}

// connect opens the data directory, or works through the server that holds it:
// an index has one writer, and a server that runs is that writer.
func (a *app) connect(ctx context.Context, options ...pipeline.Option) (*connection, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	service, err := a.server(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if service != nil {
		return &connection{Service: service, config: cfg}, nil
	}
	// No command of its own predicts with them; a server does.
	local, err := pipeline.Open(ctx, cfg, append(options, pipeline.WithoutModels())...)
	if errors.Is(err, retriever.ErrLocked) {
		return nil, fmt.Errorf("%w; wait until it has finished, or pass --server URL if it is a needle server", err)
	}
	if err != nil {
		return nil, err
	}
	return &connection{Service: local, config: cfg, local: local}, nil
}

// keyVariable is the environment variable with the API key for --server.
const keyVariable = "NEEDLE_API_KEY"

// server returns a client of the server that --server names, with the key of
// the environment, or of the one that holds the data directory, with the token
// that it left there for tools; nil if there is none.
func (a *app) server(ctx context.Context, cfg *pipeline.Config) (*client.Client, error) {
	if a.serverURL != "" {
		service, err := client.New(a.serverURL, nil)
		if err != nil {
			return nil, err
		}
		return service.WithKey(os.Getenv(keyVariable)), nil
	}
	note := runningServer(ctx, cfg.Data)
	if note.URL == "" {
		return nil, nil
	}
	service, err := client.New(note.URL, nil)
	if err != nil {
		return nil, err
	}
	return service.WithKey(note.Token), nil
}

// serverFile stands in a data directory while a server holds it.
const serverFile = "server.json"

type serverNote struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
	// Token lets those in who can read this file, which is the owner of the data
	// directory; it is new at every start.
	Token string `json:"token"`
}

// runningServer returns the note of the server that holds a data directory; its
// URL is "" if there is none. A note left behind by a killed server is ignored.
func runningServer(ctx context.Context, dataDir string) (running serverNote) {
	data, err := os.ReadFile(filepath.Join(dataDir, serverFile))
	if err != nil {
		return running
	}
	var note serverNote
	if json.Unmarshal(data, &note) != nil || note.URL == "" {
		return running
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, note.URL+"/healthz", nil)
	if err != nil {
		return running
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return running
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return running
	}
	return note
}

// noteServer writes the note and returns what removes it.
func noteServer(dataDir string, note serverNote) (remove func(), err error) {
	data, err := json.Marshal(note)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dataDir, serverFile)
	// A file that a killed server left keeps its mode when it is written again,
	// so it is made anew.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("serve: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	return func() { os.Remove(path) }, nil
}

// missingIndex adds to the error of an absent index what to run.
func missingIndex(err error) error {
	if errors.Is(err, retriever.ErrIndexNotFound) {
		return fmt.Errorf("%w; make it with: needle index add PATH... (needle index list shows what there is)", err)
	}
	return err
}
