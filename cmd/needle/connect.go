package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	url := a.serverURL
	if url == "" {
		url = runningServer(ctx, cfg.Data)
	}
	if url != "" {
		service, err := client.New(url, nil)
		if err != nil {
			return nil, err
		}
		return &connection{Service: service, config: cfg}, nil
	}
	local, err := pipeline.Open(ctx, cfg, options...)
	if errors.Is(err, retriever.ErrLocked) {
		return nil, fmt.Errorf("%w; wait until it has finished, or pass --server URL if it is a needle server", err)
	}
	if err != nil {
		return nil, err
	}
	return &connection{Service: local, config: cfg, local: local}, nil
}

// serverFile stands in a data directory while a server holds it.
const serverFile = "server.json"

type serverNote struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

// runningServer returns the URL of the server that holds a data directory, or
// "" if there is none. A note left behind by a killed server is ignored.
func runningServer(ctx context.Context, dataDir string) string {
	data, err := os.ReadFile(filepath.Join(dataDir, serverFile))
	if err != nil {
		return ""
	}
	var note serverNote
	if json.Unmarshal(data, &note) != nil || note.URL == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, note.URL+"/healthz", nil)
	if err != nil {
		return ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return ""
	}
	return note.URL
}

// noteServer writes the note and returns what removes it.
func noteServer(dataDir, url string) (remove func(), err error) {
	data, err := json.Marshal(serverNote{URL: url, PID: os.Getpid()})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dataDir, serverFile)
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
