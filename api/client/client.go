// Package client speaks to a running Needle server. A [Client] is a
// [pipeline.Service], so a program works the same with a pipeline of its own
// and with a server's:
//
//	service, err := client.New("http://127.0.0.1:8080", nil)
//	...
//	result, err := service.Ask(ctx, pipeline.Request{Question: "Who designed the tower?"})
//
// Errors carry the server's message and match the same sentinels as those of a
// pipeline: errors.Is(err, retriever.ErrIndexNotFound) holds on both sides. See
// [Error]. What a caller may see is decided by the server, so the Access of
// requests is not sent.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// A Client calls one server. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
	key  string
}

var _ pipeline.Service = (*Client)(nil)

// New returns a client for the server at an address such as
// http://127.0.0.1:8080. A nil HTTP client means one without a time limit of
// its own: contexts end requests.
func New(baseURL string, httpClient *http.Client) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("client: server address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("client: server address: %q; allowed is http://HOST:PORT or https://HOST:PORT", baseURL)
	}
	if httpClient == nil {
		// Not http.DefaultClient, whose connections others may close.
		httpClient = &http.Client{}
	}
	return &Client{base: strings.TrimRight(u.String(), "/"), http: httpClient}, nil
}

// WithKey returns a client of the same server that sends an API key or a token
// with every request. An empty key sends none.
func (c *Client) WithKey(key string) *Client {
	with := *c
	with.key = key
	return &with
}

// An Error is a problem that the server reported. It matches the sentinel
// errors that its code stands for.
type Error struct {
	Status int
	// Code is stable, for example "index_not_found".
	Code string
	// Title says what the code means, Detail what is wrong and what to do.
	Title  string
	Detail string
	// RequestID finds the cause in the server's log.
	RequestID string
}

// Error returns the detail; for faults of the server also the request id.
func (e *Error) Error() string {
	message := e.Detail
	if message == "" {
		message = e.Title
	}
	if e.Status >= http.StatusInternalServerError && e.RequestID != "" {
		message = e.Title + ". " + e.Detail + " (request id " + e.RequestID + ")"
	}
	return message
}

// Unwrap returns the sentinel errors that the code stands for.
func (e *Error) Unwrap() []error { return wire.Sentinels(e.Code) }

func fromProblem(p wire.Problem) *Error {
	return &Error{Status: p.Status, Code: p.Code, Title: p.Title, Detail: p.Detail, RequestID: p.RequestID}
}

// Ask answers a question. A budget is sent in whole milliseconds, rounded up.
func (c *Client) Ask(ctx context.Context, request pipeline.Request) (*pipeline.Result, error) {
	body := wire.Ask{Request: request, BudgetMS: int64((request.Budget + time.Millisecond - 1) / time.Millisecond)}
	if request.Progress != nil {
		return c.askStream(ctx, body, request.Progress)
	}
	var result pipeline.Result
	if err := c.call(ctx, http.MethodPost, "/v1/ask", body, &result); err != nil {
		return nil, err
	}
	if err := exactMetadata(result.Candidates); err != nil {
		return nil, err
	}
	return &result, nil
}

// Search returns candidates without reading them.
func (c *Client) Search(ctx context.Context, request pipeline.SearchRequest) (*pipeline.SearchResult, error) {
	var result pipeline.SearchResult
	if err := c.call(ctx, http.MethodPost, "/v1/search", request, &result); err != nil {
		return nil, err
	}
	if err := exactMetadata(result.Hits); err != nil {
		return nil, err
	}
	if err := plainNumbers(result.Facets); err != nil {
		return nil, err
	}
	return &result, nil
}

// Read answers a question from the documents of the request.
func (c *Client) Read(ctx context.Context, request pipeline.ReadRequest) (*pipeline.Result, error) {
	// A list that is missing is refused in other words than an empty one.
	request.Documents = append([]pipeline.ReadDocument{}, request.Documents...)
	body := wire.Read{ReadRequest: request, BudgetMS: int64((request.Budget + time.Millisecond - 1) / time.Millisecond)}
	var result pipeline.Result
	if err := c.call(ctx, http.MethodPost, "/v1/read", body, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// Rerank orders the documents of the request.
func (c *Client) Rerank(ctx context.Context, request pipeline.RerankRequest) (*pipeline.RerankResult, error) {
	documents := make([]wire.RerankDocument, len(request.Documents))
	for i, text := range request.Documents {
		documents[i] = wire.RerankDocument(text)
	}
	body := wire.Rerank{Model: request.Model, Query: request.Query, Documents: documents, TopN: request.TopN, ReturnDocuments: request.ReturnDocuments}
	var result pipeline.RerankResult
	if err := c.call(ctx, http.MethodPost, "/v1/rerank", body, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// exactMetadata gives metadata the types that a pipeline gives it.
func exactMetadata(candidates []pipeline.Candidate) error {
	for i := range candidates {
		if _, err := wire.Metadata(candidates[i].Metadata); err != nil {
			return fmt.Errorf("client: passage %q: %w", candidates[i].PassageID, err)
		}
	}
	return nil
}

// Indexes describes all indexes in order of name.
func (c *Client) Indexes(ctx context.Context) ([]retriever.Statistics, error) {
	var answer wire.Indexes
	err := c.call(ctx, http.MethodGet, "/v1/indexes", nil, &answer)
	return answer.Indexes, err
}

// CreateIndex makes a new, empty index.
func (c *Client) CreateIndex(ctx context.Context, index string) error {
	return c.call(ctx, http.MethodPut, indexPath(index), nil, nil)
}

// DropIndex deletes an index and all it holds.
func (c *Client) DropIndex(ctx context.Context, index string) error {
	return c.call(ctx, http.MethodDelete, indexPath(index), nil, nil)
}

// Stats describes one index.
func (c *Client) Stats(ctx context.Context, index string) (retriever.Statistics, error) {
	var stats retriever.Statistics
	err := c.call(ctx, http.MethodGet, indexPath(index), nil, &stats)
	return stats, err
}

// Ready reports why questions cannot be answered at full speed yet.
func (c *Client) Ready(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/readyz", nil, nil)
}

// indexPath returns the path of an index; an empty name means the configured
// one.
func indexPath(index string) string {
	if index == "" {
		index = wire.DefaultIndex
	}
	return "/v1/indexes/" + wire.EscapeID(index)
}

// call sends a value as JSON, if there is one, and decodes the answer into
// another, if it is wanted.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("client: encode the request: %w", err)
		}
		reader = bytes.NewReader(data)
	}
	response, err := c.send(ctx, method, path, "application/json", reader)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if answer == nil {
		// Read to the end, so that the connection can be used again.
		_, err = io.Copy(io.Discard, response.Body)
	} else {
		decoder := json.NewDecoder(response.Body)
		decoder.UseNumber()
		if err = decoder.Decode(answer); err == nil {
			_, err = io.Copy(io.Discard, response.Body)
		}
	}
	if err != nil {
		return c.transport(ctx, method, path, err)
	}
	return nil
}

// send returns a successful response, whose body the caller closes.
func (c *Client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	return c.exchange(ctx, method, path, contentType, body, nil)
}

// sendWith is send for a body at hand and more headers.
func (c *Client) sendWith(ctx context.Context, method, path, contentType string, body []byte, header http.Header) (*http.Response, error) {
	if body == nil {
		return c.exchange(ctx, method, path, contentType, nil, header)
	}
	return c.exchange(ctx, method, path, contentType, bytes.NewReader(body), header)
}

func (c *Client) exchange(ctx context.Context, method, path, contentType string, body io.Reader, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	request.Header.Set("Accept", "application/json, application/x-ndjson, text/event-stream, application/problem+json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.transport(ctx, method, path, err)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, c.problem(method, path, response)
}

// transport describes a request that got no whole answer.
func (c *Client) transport(ctx context.Context, method, path string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	// url.Error repeats method and address.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("client: %s %s%s: %w", method, c.base, path, err)
}

// maxProblem is the longest error body that is read.
const maxProblem = 1 << 20

func (c *Client) problem(method, path string, response *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	var p wire.Problem
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err == nil && media == "application/problem+json" && json.Unmarshal(data, &p) == nil && p.Code != "" {
		p.Status = response.StatusCode
		return fromProblem(p)
	}
	return fmt.Errorf("client: %s %s%s: the server answered %s, which is no answer of Needle", method, c.base, path, response.Status)
}
