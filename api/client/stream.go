package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

// maxEvent is the longest line of an event stream that is read.
const maxEvent = 64 << 20

// askStream asks and passes on the progress.
func (c *Client) askStream(ctx context.Context, body wire.Ask, progress func(pipeline.Progress)) (*pipeline.Result, error) {
	body.Stream = true
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("client: encode the request: %w", err)
	}
	const path = "/v1/ask"
	response, err := c.send(ctx, http.MethodPost, path, "application/json", bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); media != wire.EventStream {
		return nil, fmt.Errorf("client: %s%s: the server answered with %q, which is no stream of events", c.base, path, media)
	}
	result, err := readEvents(response.Body, progress)
	var problem *Error
	if err != nil && !errors.As(err, &problem) {
		return nil, c.transport(ctx, http.MethodPost, path, err)
	}
	return result, err
}

// readEvents reads a stream to its last event.
func readEvents(body io.Reader, progress func(pipeline.Progress)) (*pipeline.Result, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	event := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "data":
			result, err := readEvent(event, value, progress)
			if result != nil || err != nil {
				return result, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// readEvent passes progress on and returns the end of the stream.
func readEvent(event, data string, progress func(pipeline.Progress)) (*pipeline.Result, error) {
	decoder := json.NewDecoder(strings.NewReader(data))
	decoder.UseNumber()
	switch event {
	case wire.EventCandidates:
		var list wire.Candidates
		if err := decoder.Decode(&list); err != nil {
			return nil, err
		}
		if err := exactMetadata(list.Candidates); err != nil {
			return nil, err
		}
		progress(pipeline.Progress{Candidates: list.Candidates})
	case wire.EventAnswers, wire.EventComplete:
		var result pipeline.Result
		if err := decoder.Decode(&result); err != nil {
			return nil, err
		}
		if err := exactMetadata(result.Candidates); err != nil {
			return nil, err
		}
		if event == wire.EventComplete {
			return &result, nil
		}
		progress(pipeline.Progress{Result: &result})
	case wire.EventError:
		var problem wire.Problem
		if err := decoder.Decode(&problem); err != nil {
			return nil, err
		}
		return nil, fromProblem(problem)
	}
	return nil, nil // an event of a later version
}
