package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/backup"
)

var _ pipeline.Keeper = (*Client)(nil)

// Verify lets the server read everything that an index stores.
func (c *Client) Verify(ctx context.Context, index string) error {
	return c.call(ctx, http.MethodPost, indexPath(index)+"/verify", nil, nil)
}

// Compact gives back the space of what was deleted and replaced.
func (c *Client) Compact(ctx context.Context, index string) (pipeline.CompactReport, error) {
	var report pipeline.CompactReport
	err := c.call(ctx, http.MethodPost, indexPath(index)+"/compact", nil, &report)
	return report, err
}

// SwapIndexes exchanges the names of two indexes.
func (c *Client) SwapIndexes(ctx context.Context, index, with string) error {
	return c.call(ctx, http.MethodPost, indexPath(index)+"/swap", wire.Swap{With: with}, nil)
}

// StartRebuild begins to make an index anew from its documents.
func (c *Client) StartRebuild(ctx context.Context, index string, options pipeline.RebuildOptions) error {
	return c.call(ctx, http.MethodPost, indexPath(index)+"/rebuild", wire.Rebuild{Split: options.Split}, nil)
}

// RebuildStatus tells how far a rebuild is.
func (c *Client) RebuildStatus(ctx context.Context, index string) (pipeline.RebuildStatus, error) {
	var status pipeline.RebuildStatus
	err := c.call(ctx, http.MethodGet, indexPath(index)+"/rebuild", nil, &status)
	return status, err
}

// DeclareFields gives metadata fields their types.
func (c *Client) DeclareFields(ctx context.Context, index string, fields map[string]retriever.FieldType) error {
	return c.call(ctx, http.MethodPost, indexPath(index)+"/fields", wire.Fields{Fields: fields}, nil)
}

// Backup writes a backup of an index as it comes from the server, and compares
// it with its checksum on the way.
func (c *Client) Backup(ctx context.Context, index string, w io.Writer) (backup.Summary, error) {
	path := indexPath(index) + "/backup"
	response, err := c.send(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return backup.Summary{}, err
	}
	defer response.Body.Close()
	_, summary, err := backup.Verify(ctx, io.TeeReader(response.Body, w))
	if err != nil {
		return backup.Summary{}, c.transport(ctx, http.MethodGet, path, fmt.Errorf("what arrived is no whole backup (the server's log says why): %w", err))
	}
	return summary, nil
}

// Restore sends a backup to the server.
func (c *Client) Restore(ctx context.Context, index string, r io.Reader, options pipeline.RestoreOptions) (pipeline.RestoreReport, error) {
	path := indexPath(index) + "/restore"
	if options.Replace {
		path += "?replace=true"
	}
	response, err := c.send(ctx, http.MethodPost, path, wire.BackupType, io.NopCloser(r))
	if err != nil {
		return pipeline.RestoreReport{}, err
	}
	defer response.Body.Close()
	var report pipeline.RestoreReport
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil {
		return pipeline.RestoreReport{}, c.transport(ctx, http.MethodPost, path, err)
	}
	return report, nil
}
