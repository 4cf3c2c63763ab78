package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func documentPath(index, id string) string {
	return indexPath(index) + "/documents/" + wire.EscapeID(id)
}

// Document returns a stored document.
func (c *Client) Document(ctx context.Context, index, id string) (retriever.Document, error) {
	if id == "" {
		return retriever.Document{}, fmt.Errorf("%w: the id is empty", retriever.ErrDocumentNotFound)
	}
	var body wire.Document
	if err := c.call(ctx, http.MethodGet, documentPath(index, id), nil, &body); err != nil {
		return retriever.Document{}, err
	}
	return body.Document()
}

// List returns up to limit documents with an id greater than after.
func (c *Client) List(ctx context.Context, index, after string, limit int) ([]retriever.DocumentInfo, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if after != "" {
		query.Set("after", after)
	}
	var page wire.Documents
	err := c.call(ctx, http.MethodGet, indexPath(index)+"/documents?"+query.Encode(), nil, &page)
	return page.Documents, err
}

// Delete removes documents and returns how many were there. Many are removed in
// several requests; on an error the number says what was removed before.
func (c *Client) Delete(ctx context.Context, index string, ids []string) (int, error) {
	total := 0
	for len(ids) > 0 {
		n := min(len(ids), wire.MaxDeleteIDs)
		var answer wire.Deleted
		if err := c.call(ctx, http.MethodPost, indexPath(index)+"/delete", wire.DeleteDocuments{IDs: ids[:n]}, &answer); err != nil {
			return total, err
		}
		total += answer.Deleted
		ids = ids[n:]
	}
	return total, nil
}

// Put adds or replaces documents in one bulk request; the index is created if
// it is missing. There is one result for every document that was stored, in
// order; the error joins a [pipeline.DocumentError] for every one that was
// refused, and what ended the request early, if it did.
func (c *Client) Put(ctx context.Context, index string, documents []retriever.Document) ([]pipeline.PutResult, error) {
	if len(documents) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := bulkWriter{documents: documents, faults: make(map[int]error), done: make(chan struct{})}
	body, pipe := io.Pipe()
	go out.write(pipe)
	response, err := c.send(ctx, http.MethodPost, indexPath(index)+"/bulk", "application/x-ndjson", body)
	if err != nil {
		// The transport may go on reading for a moment.
		_ = body.CloseWithError(err)
		<-out.done
		return nil, err
	}
	defer response.Body.Close()
	stored, faults, err := readBulk(json.NewDecoder(response.Body), len(documents))
	// Nothing more is answered, so nothing more needs to be sent.
	_ = body.Close()
	<-out.done
	if err != nil {
		err = c.transport(ctx, http.MethodPost, indexPath(index)+"/bulk", err)
	}
	return out.results(stored, faults, err)
}

// bulkWriter writes documents as lines, document i as line i+1.
type bulkWriter struct {
	documents []retriever.Document
	// faults are the documents that were not sent; an empty line stands for
	// them. They belong to write until done is closed.
	faults map[int]error
	done   chan struct{}
}

func (w *bulkWriter) write(pipe *io.PipeWriter) {
	defer close(w.done)
	seen := make(map[string]bool, len(w.documents))
	for i := range w.documents {
		line, err := bulkLine(&w.documents[i])
		if err == nil && seen[w.documents[i].ID] {
			// The server sees one batch at a time and would let the later win.
			err = fmt.Errorf("%w: document %q is given twice", retriever.ErrInvalidDocument, w.documents[i].ID)
		}
		if err != nil {
			w.faults[i], line = err, nil
		}
		seen[w.documents[i].ID] = true
		if _, err := pipe.Write(append(line, '\n')); err != nil {
			return // nobody reads on; the answer says why
		}
	}
	_ = pipe.Close()
}

// bulkLine encodes one document. What JSON would change without a word (text
// that is not UTF-8) is refused here.
func bulkLine(d *retriever.Document) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	line, err := json.Marshal(wire.FromDocument(*d))
	if err != nil {
		return nil, fmt.Errorf("%w: document %q: %w", retriever.ErrInvalidDocument, d.ID, err)
	}
	return line, nil
}

// readBulk reads the result lines. The error is what ended the request early.
func readBulk(lines *json.Decoder, documents int) (stored map[int]pipeline.PutResult, faults map[int]error, err error) {
	stored, faults = make(map[int]pipeline.PutResult), make(map[int]error)
	for {
		var r wire.BulkResult
		switch err := lines.Decode(&r); {
		case errors.Is(err, io.EOF):
			return stored, faults, nil
		case err != nil:
			return stored, faults, err
		case r.Line == 0 && r.Problem != nil:
			return stored, faults, fromProblem(*r.Problem)
		case r.Line < 1 || r.Line > documents:
			return stored, faults, fmt.Errorf("a result for line %d of %d", r.Line, documents)
		case r.Problem != nil:
			faults[r.Line-1] = fromProblem(*r.Problem)
		default:
			stored[r.Line-1] = pipeline.PutResult{ID: r.ID, Status: r.Status, Passages: r.Passages, Generation: r.Generation}
		}
	}
}

// results puts together what the server and the writer said.
func (w *bulkWriter) results(stored map[int]pipeline.PutResult, faults map[int]error, end error) ([]pipeline.PutResult, error) {
	results := make([]pipeline.PutResult, 0, len(stored))
	var refused []error
	for i, d := range w.documents {
		err := w.faults[i]
		if err == nil {
			err = faults[i]
		}
		r, ok := stored[i]
		switch {
		case err != nil:
			refused = append(refused, &pipeline.DocumentError{Position: i, ID: d.ID, Err: err})
		case ok:
			results = append(results, r)
		case end == nil:
			end = fmt.Errorf("client: the server said nothing about document %q", d.ID)
		}
	}
	return results, errors.Join(append(refused, end)...)
}
