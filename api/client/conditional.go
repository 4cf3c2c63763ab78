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
)

// ErrPreconditionFailed says that the condition of a write does not hold:
// somebody else has changed the document.
var ErrPreconditionFailed = wire.ErrPreconditionFailed

// A Condition says when a write of one document may happen and how it may be
// repeated. The zero value is always.
type Condition struct {
	// IfMatch is the entity tag that the stored document must have, or "*" for
	// any.
	IfMatch string
	// IfAbsent demands that there is no such document.
	IfAbsent bool
	// IdempotencyKey lets the same request be sent again, for example after the
	// connection broke off, and be done once only.
	IdempotencyKey string
}

func (o Condition) header() http.Header {
	h := http.Header{}
	if o.IfMatch != "" {
		h.Set("If-Match", o.IfMatch)
	}
	if o.IfAbsent {
		h.Set("If-None-Match", "*")
	}
	if o.IdempotencyKey != "" {
		h.Set("Idempotency-Key", o.IdempotencyKey)
	}
	return h
}

// DocumentTag returns a stored document and its entity tag for
// [Condition.IfMatch].
func (c *Client) DocumentTag(ctx context.Context, index, id string) (d retriever.Document, tag string, err error) {
	if id == "" {
		return d, "", fmt.Errorf("%w: the id is empty", retriever.ErrDocumentNotFound)
	}
	response, err := c.sendWith(ctx, http.MethodGet, documentPath(index, id), "", nil, nil)
	if err != nil {
		return d, "", err
	}
	var body wire.Document
	if err := c.decode(ctx, response, &body); err != nil {
		return d, "", err
	}
	d, err = body.Document()
	return d, response.Header.Get("ETag"), err
}

// PutDocument adds or replaces one document under a condition and returns its
// new entity tag. If the condition does not hold, the error is
// [ErrPreconditionFailed] and nothing was written.
func (c *Client) PutDocument(ctx context.Context, index string, d retriever.Document, condition Condition) (result pipeline.PutResult, tag string, err error) {
	body, err := bulkLine(&d)
	if err != nil {
		return result, "", err
	}
	response, err := c.sendWith(ctx, http.MethodPut, documentPath(index, d.ID), "application/json", body, condition.header())
	if err != nil {
		return result, "", err
	}
	err = c.decode(ctx, response, &result)
	return result, response.Header.Get("ETag"), err
}

// DeleteDocument deletes one document under a condition; see
// [Client.PutDocument]. A document that is not there is
// [retriever.ErrDocumentNotFound].
func (c *Client) DeleteDocument(ctx context.Context, index, id string, condition Condition) error {
	response, err := c.sendWith(ctx, http.MethodDelete, documentPath(index, id), "", nil, condition.header())
	if err != nil {
		return err
	}
	return c.decode(ctx, response, nil)
}

// decode reads an answer to its end, into a value if one is wanted.
func (c *Client) decode(ctx context.Context, response *http.Response, into any) error {
	defer response.Body.Close()
	var err error
	if into != nil {
		decoder := json.NewDecoder(response.Body)
		decoder.UseNumber()
		err = decoder.Decode(into)
	}
	if err == nil {
		// Read to the end, so that the connection can be used again.
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err != nil {
		return c.transport(ctx, response.Request.Method, response.Request.URL.Path, err)
	}
	return nil
}
