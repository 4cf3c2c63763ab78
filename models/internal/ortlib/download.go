package ortlib

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// partial says which content a partly downloaded file belongs to.
type partial struct {
	URL string `json:"url"`
	// Validator is the strong ETag, or else the time of change, that the
	// server gave; without one nothing is resumed.
	Validator string `json:"validator"`
}

// errFinal marks answers that would be the same if the request were repeated.
var errFinal = errors.New("the server refuses it")

// download fetches a URL into the cache folder. A download that was cut, in
// this process or an earlier one, goes on where it ended. The caller calls done
// when the file is no longer needed.
func (s *setup) download(ctx context.Context, u *url.URL) (file string, done func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Timeouts.Total,
		fmt.Errorf("the download took longer than %v", s.opts.Timeouts.Total))
	defer cancel()
	file = filepath.Join(s.dir, "download-"+shortDigest(u.String())+".part")
	done = func() { _ = errors.Join(os.Remove(file), os.Remove(file+".json")) }
	const tries = 6
	wait := s.opts.Timeouts.Retry
	for try := 1; ; try++ {
		err = s.downloadOnce(ctx, u, file)
		if err == nil {
			return file, done, nil
		}
		if ctx.Err() != nil {
			return "", nil, context.Cause(ctx)
		}
		var busy *busyError
		if errors.As(err, &busy) {
			const longest = 30 * time.Second
			wait = max(wait, min(busy.after, longest))
		}
		if try == tries || errors.Is(err, errFinal) {
			return "", nil, err
		}
		s.progress(fmt.Sprintf("repeat the download (%v)", err), 0, 0)
		select {
		case <-ctx.Done():
			return "", nil, context.Cause(ctx)
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// downloadOnce makes one request for what is still missing.
func (s *setup) downloadOnce(ctx context.Context, u *url.URL, file string) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stalled := time.AfterFunc(s.opts.Timeouts.Stall, func() {
		stop(fmt.Errorf("nothing arrived for %v", s.opts.Timeouts.Stall))
	})
	defer stalled.Stop()

	have, known := s.resumable(u, file)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	// The digest is of the file as the server stores it.
	request.Header.Set("Accept-Encoding", "identity")
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		request.Header.Set("If-Range", known.Validator)
	}
	client := &http.Client{CheckRedirect: checkRedirect}
	response, err := client.Do(request)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer response.Body.Close()
	start, total, err := placeOf(response, have)
	if errors.Is(err, errRestart) {
		_ = errors.Join(os.Remove(file), os.Remove(file+".json"))
	}
	if err != nil {
		return err
	}
	if total > s.limits.archive {
		return fmt.Errorf("%w: the file has %d bytes, more than %d", errFinal, total, s.limits.archive)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	defer f.Close()
	if err := s.begin(u, response, f, file, start); err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	step := "download " + u.Redacted()
	content := &progressReader{
		r: &boundedReader{ctx: ctx, r: response.Body, left: s.limits.archive - start,
			err: fmt.Errorf("%w: the file has more than %d bytes", errFinal, s.limits.archive)},
		report: func(n int64) {
			stalled.Reset(s.opts.Timeouts.Stall)
			s.progress(step, start+n, max(total, 0))
		},
	}
	n, err := io.Copy(f, content)
	if err := errors.Join(err, f.Close()); err != nil {
		return causeOf(ctx, err)
	}
	if total >= 0 && start+n != total {
		return fmt.Errorf("the connection ended after %d of %d bytes", start+n, total)
	}
	return nil
}

// resumable returns how much of a URL lies in a file already.
func (s *setup) resumable(u *url.URL, file string) (int64, partial) {
	data, err := os.ReadFile(file + ".json")
	if err != nil {
		return 0, partial{}
	}
	var known partial
	if err := json.Unmarshal(data, &known); err != nil || known.URL != u.Redacted() || known.Validator == "" {
		return 0, partial{}
	}
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return 0, partial{}
	}
	return info.Size(), known
}

// begin puts the file's end where the response starts. A response from the
// start is a new content, which is written down before its first byte.
func (s *setup) begin(u *url.URL, response *http.Response, f *os.File, file string, start int64) error {
	if err := f.Truncate(start); err != nil {
		return err
	}
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return err
	}
	if start > 0 {
		return nil
	}
	known := partial{URL: u.Redacted(), Validator: response.Header.Get("ETag")}
	if known.Validator == "" || strings.HasPrefix(known.Validator, "W/") {
		known.Validator = response.Header.Get("Last-Modified")
	}
	data, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return os.WriteFile(file+".json", data, 0o644)
}

var errRestart = errors.New("the server cannot go on where the download ended")

// A busyError is an answer that may be another one later.
type busyError struct {
	status string
	after  time.Duration
}

func (e *busyError) Error() string { return "the server says " + e.status }

// placeOf tells where in the file a response starts and how long the file is,
// -1 when unknown.
func placeOf(response *http.Response, have int64) (start, total int64, err error) {
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		return 0, response.ContentLength, nil
	case code == http.StatusPartialContent:
		start, total, ok := parseContentRange(response.Header.Get("Content-Range"))
		if !ok || start != have || have == 0 {
			return 0, 0, errRestart
		}
		return start, total, nil
	case code == http.StatusRequestedRangeNotSatisfiable && have > 0:
		return 0, 0, errRestart
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		busy := &busyError{status: response.Status}
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			busy.after = time.Duration(seconds) * time.Second
		}
		return 0, 0, busy
	}
	return 0, 0, fmt.Errorf("%w: it says %s", errFinal, response.Status)
}

// parseContentRange reads a header such as "bytes 100-199/200" (RFC 9110,
// section 14.4); total is -1 for "*".
func parseContentRange(header string) (start, total int64, ok bool) {
	rest, ok := strings.CutPrefix(header, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, length, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, false
	}
	first, last, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	number := func(s string) int64 {
		n, err := strconv.ParseUint(s, 10, 62)
		if err != nil {
			return -1
		}
		return int64(n)
	}
	start, total = number(first), -1
	if length != "*" {
		if total = number(length); total < 0 {
			return 0, 0, false
		}
	}
	end := number(last)
	if start < 0 || end < start || total >= 0 && end >= total {
		return 0, 0, false
	}
	return start, total, true
}

// checkRedirect refuses to leave an encrypted connection.
func checkRedirect(request *http.Request, via []*http.Request) error {
	const most = 10
	if len(via) >= most {
		return fmt.Errorf("%w: more than %d redirects", errFinal, most)
	}
	if via[0].URL.Scheme == "https" && request.URL.Scheme != "https" {
		return fmt.Errorf("%w: it redirects from https to %s", errFinal, request.URL.Scheme)
	}
	return nil
}

// causeOf prefers the reason for which a context was ended to the error that
// this gave.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
