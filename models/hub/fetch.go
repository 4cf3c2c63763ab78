package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// client talks to one hub. It is used by one Pull.
type client struct {
	config   Config
	endpoint *url.URL
	http     http.Client
	fetched  int64
}

const userAgent = "needle"

// maxAttempts is how often a request is made without progress.
const maxAttempts = 5

// permanent marks an error that trying again does not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// retry calls try until it is done, with growing pauses between failures.
// Progress resets the count. try returns done, and nil with false for progress.
func (c *client) retry(ctx context.Context, try func() (done bool, err error)) error {
	pause := c.config.Pause
	for attempt := 1; ; attempt++ {
		done, err := try()
		var fixed permanent
		switch {
		case done && err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &fixed):
			return fixed.error
		case err == nil:
			attempt, pause = 0, c.config.Pause
			continue
		case attempt == maxAttempts:
			return fmt.Errorf("gave up after %d attempts: %w", attempt, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

func statusError(r *http.Response) error {
	err := fmt.Errorf("the hub answers %s", r.Status)
	switch code := r.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return permanent{fmt.Errorf("%w: %w (a token may be needed, or the model's terms accepted)", ErrAccess, err)}
	case code == http.StatusNotFound || code == http.StatusGone:
		return permanent{fmt.Errorf("%w: %w", ErrNotFound, err)}
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return err
	}
	return permanent{err}
}

// linkedKey is the context key under which the hash of a redirected file is
// kept.
type linkedKey struct{}

// checkRedirect notes the hash that the hub states when it sends us elsewhere
// (storage has hashes of its own) and keeps the token from other hosts.
func checkRedirect(request *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return permanent{errors.New("more than 10 redirects")}
	}
	if via[0].URL.Scheme == "https" && request.URL.Scheme != "https" {
		return permanent{errors.New("the hub redirects from https to http")}
	}
	// net/http would keep it for other ports and for subdomains.
	if request.URL.Host != via[0].URL.Host {
		request.Header.Del("Authorization")
	}
	if linked, ok := request.Context().Value(linkedKey{}).(*string); ok && request.Response != nil {
		if tag := request.Response.Header.Get("X-Linked-Etag"); tag != "" {
			*linked = tag
		}
	}
	return nil
}

func (c *client) get(ctx context.Context, address *url.URL, from int64, linked *string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(context.WithValue(ctx, linkedKey{}, linked), http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, permanent{err}
	}
	request.Header.Set("User-Agent", userAgent)
	// Compressed on the way, sizes and ranges would not be those of the file.
	request.Header.Set("Accept-Encoding", "identity")
	if c.config.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.config.Token)
	}
	if from > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	return c.http.Do(request)
}

// fetch brings a file to its place, going on with what is there already.
func (c *client) fetch(ctx context.Context, root *os.Root, repo, commit string, f file) error {
	if directory := path.Dir(f.Name); directory != "." {
		if err := root.MkdirAll(directory, 0o755); err != nil {
			return err
		}
	}
	if _, err := root.Stat(f.Name); err == nil {
		// It was checked when it was put there, but that may be long ago.
		if f.digest() == "" || check(root, f.Name, f, f.digest()) == nil {
			return nil
		}
		if err := root.Remove(f.Name); err != nil {
			return err
		}
	}
	address := c.endpoint.JoinPath(repo, "resolve", commit, f.Name)
	part := f.Name + ".part"
	// longest tells progress from a hub that sends the same bytes for ever.
	longest, again := int64(0), false
	return c.retry(ctx, func() (bool, error) {
		length, digest, err := c.fetchRest(ctx, root, address, part, f)
		if err != nil {
			if length > longest && !errors.As(err, &permanent{}) {
				longest = length
				return false, nil
			}
			return false, err
		}
		if err := check(root, part, f, digest); err != nil {
			if remove := root.Remove(part); remove != nil {
				return false, permanent{errors.Join(err, remove)}
			}
			if again || !errors.Is(err, ErrChecksum) {
				return false, permanent{err}
			}
			again = true // a resumed part may have been damaged earlier
			return false, err
		}
		return true, root.Rename(part, f.Name)
	})
}

// fetchRest makes one request for what is missing. It returns the length that
// the part then has and the hash that the hub states.
func (c *client) fetchRest(ctx context.Context, root *os.Root, address *url.URL, part string, f file) (length int64, digest string, err error) {
	have := int64(0)
	if info, err := root.Stat(part); err == nil {
		have = info.Size()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, "", permanent{err}
	}
	digest = f.digest()
	want := f.size()
	if have > 0 && have == want && digest != "" {
		return 0, digest, nil
	}
	if want >= 0 && have > want {
		have = 0
	}
	linked := ""
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(c.config.Stall, cancel)
	defer watchdog.Stop()
	response, err := c.get(ctx, address, have, &linked)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		have = 0 // the server knows no ranges
	case http.StatusPartialContent:
		if !strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)) {
			return 0, "", permanent{fmt.Errorf("asked from byte %d, the hub sends %q", have, response.Header.Get("Content-Range"))}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		// The part is as long as the file or longer; begin anew.
		return 0, "", errors.Join(errors.New("the hub has no more bytes of it"), root.Remove(part))
	default:
		return 0, "", statusError(response)
	}
	if digest == "" {
		digest = hashOf(linked, response.Header.Get("X-Linked-Etag"), response.Header.Get("ETag"))
	}
	if digest == "" {
		return 0, "", permanent{fmt.Errorf("%w: the hub states none for this file", ErrChecksum)}
	}
	total := want
	if total < 0 && response.ContentLength >= 0 {
		total = have + response.ContentLength
	}
	n, err := c.write(root, part, have, total, &watched{response.Body, watchdog, c.config.Stall}, f.Name)
	c.fetched += n
	if err == nil && total >= 0 && have+n < total {
		err = io.ErrUnexpectedEOF
	}
	return have + n, digest, err
}

// watched puts off a timer with everything that is read.
type watched struct {
	io.Reader
	timer *time.Timer
	stall time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.timer.Reset(w.stall)
	return n, err
}

// hashOf returns the first of some entity tags that is a hash.
func hashOf(tags ...string) string {
	for _, tag := range tags {
		tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
		if _, err := hex.DecodeString(tag); err == nil && (len(tag) == 2*sha1.Size || len(tag) == 2*sha256.Size) {
			return tag
		}
	}
	return ""
}

// write puts what comes at the end of the part.
func (c *client) write(root *os.Root, part string, from, total int64, body io.Reader, name string) (n int64, err error) {
	out, err := root.OpenFile(part, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, permanent{err}
	}
	defer func() {
		if closed := out.Close(); err == nil && closed != nil {
			err = permanent{closed}
		}
	}()
	if err := out.Truncate(from); err != nil {
		return 0, permanent{err}
	}
	if _, err := out.Seek(from, io.SeekStart); err != nil {
		return 0, permanent{err}
	}
	buffer := make([]byte, 1<<16)
	for {
		size, err := body.Read(buffer)
		if total >= 0 && from+n+int64(size) > total {
			return n, permanent{fmt.Errorf("the hub sends more than the %d bytes that it states", total)}
		}
		if size > 0 {
			if _, err := out.Write(buffer[:size]); err != nil {
				return n, permanent{err}
			}
			n += int64(size)
			c.config.Progress(name, from+n, total)
		}
		if errors.Is(err, io.EOF) {
			return n, out.Sync()
		}
		if err != nil {
			return n, err
		}
	}
}

// check compares a downloaded file with its size and hash: SHA-256, or git's
// SHA-1 over a header and the content.
func check(root *os.Root, part string, f file, digest string) error {
	in, err := root.Open(part)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if want := f.size(); want >= 0 && info.Size() != want {
		return fmt.Errorf("%w: it has %d bytes, want %d", ErrChecksum, info.Size(), want)
	}
	var h hash.Hash
	switch len(digest) {
	case 2 * sha256.Size:
		h = sha256.New()
	case 2 * sha1.Size:
		h = sha1.New()
		io.WriteString(h, "blob "+strconv.FormatInt(info.Size(), 10)+"\x00") // a hash never fails to write
	default:
		return fmt.Errorf("%w: the hub states %q, which is neither SHA-256 nor a git hash", ErrChecksum, digest)
	}
	if _, err := io.Copy(h, in); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != strings.ToLower(digest) {
		return fmt.Errorf("%w: it has %s, the hub states %s", ErrChecksum, got, digest)
	}
	return nil
}
