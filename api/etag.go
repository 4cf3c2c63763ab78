package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/retriever"
)

// etagOf returns a strong entity tag of a document as it is stored.
func etagOf(d retriever.Document) (string, error) {
	data, err := encodeJSON(wire.FromDocument(d))
	if err != nil {
		return "", fmt.Errorf("api: entity tag: %w", err)
	}
	sum := sha256.Sum256(data)
	return `"` + hex.EncodeToString(sum[:16]) + `"`, nil
}

// A precondition is what If-Match and If-None-Match of a write say.
type precondition struct{ match, noneMatch string }

func preconditionOf(c *gin.Context) (precondition, error) {
	p := precondition{
		strings.Join(c.Request.Header.Values("If-Match"), ","),
		strings.Join(c.Request.Header.Values("If-None-Match"), ","),
	}
	for _, h := range []struct{ name, value string }{{"If-Match", p.match}, {"If-None-Match", p.noneMatch}} {
		if h.value == "" {
			continue
		}
		if _, ok := parseETags(h.value); !ok {
			return p, problemError{wire.CodeInvalidParameter, fmt.Sprintf("%s: %q is no entity tag; allowed are * and tags in quotes, as the header ETag gives them.", h.name, clip(h.value))}
		}
	}
	return p, nil
}

func (p precondition) empty() bool { return p.match == "" && p.noneMatch == "" }

// holds compares with the tag of what is stored, "" for nothing. A weak tag
// never satisfies If-Match, as RFC 9110 has it.
func (p precondition) holds(stored string) error {
	if p.match != "" {
		tags, _ := parseETags(p.match)
		if stored == "" || !tags.any && !tags.strong[stored] {
			return fmt.Errorf("%w: If-Match: %s", wire.ErrPreconditionFailed, describeStored(stored))
		}
	}
	if p.noneMatch != "" {
		tags, _ := parseETags(p.noneMatch)
		if stored != "" && tags.matchWeakly(stored) {
			return fmt.Errorf("%w: If-None-Match: %s", wire.ErrPreconditionFailed, describeStored(stored))
		}
	}
	return nil
}

func describeStored(tag string) string {
	if tag == "" {
		return "there is no such document"
	}
	return "the document is there with another ETag, or must not be there"
}

// etags are the tags of a header.
type etags struct {
	any          bool
	strong, weak map[string]bool
}

func (e etags) matchWeakly(tag string) bool { return e.any || e.strong[tag] || e.weak[tag] }

// parseETags reads the list of If-Match and If-None-Match (RFC 9110, 8.8.3).
func parseETags(list string) (etags, bool) {
	e := etags{strong: map[string]bool{}, weak: map[string]bool{}}
	rest := strings.Trim(list, " \t")
	if rest == "*" {
		e.any = true
		return e, true
	}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return e, len(e.strong)+len(e.weak) > 0
		}
		into := e.strong
		if tail, weak := strings.CutPrefix(rest, "W/"); weak {
			into, rest = e.weak, tail
		}
		if rest == "" || rest[0] != '"' {
			return e, false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return e, false
		}
		tag := rest[:end+2]
		if strings.IndexFunc(tag[1:len(tag)-1], func(r rune) bool { return r <= ' ' || r == 0x7f }) >= 0 {
			return e, false
		}
		into[tag], rest = true, rest[end+2:]
		if after := strings.TrimLeft(rest, " \t"); after != "" && after[0] != ',' {
			return e, false
		}
	}
}

// unchanged answers a read with 304 if the client has the document already.
func unchanged(c *gin.Context, tag string) bool {
	c.Header("ETag", tag)
	given := strings.Join(c.Request.Header.Values("If-None-Match"), ",")
	if given == "" {
		return false
	}
	tags, ok := parseETags(given)
	if !ok || !tags.matchWeakly(tag) {
		return false
	}
	c.Status(http.StatusNotModified)
	c.Writer.WriteHeaderNow()
	return true
}

// storedTag returns the tag of what is stored under an id and visible to the
// caller, "" for nothing.
func (g guarded) storedTag(ctx context.Context, index, id string) (string, error) {
	d, err := g.visible(ctx, index, id)
	if errors.Is(err, retriever.ErrDocumentNotFound) || errors.Is(err, retriever.ErrIndexNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return etagOf(d)
}

// change runs a write of one document, under its lock, if the precondition
// holds. Without one it is a write like any other.
func (g guarded) change(ctx context.Context, index, id string, p precondition, write func() error) error {
	if err := g.may(index, auth.Write); err != nil {
		return err
	}
	defer g.server.locks.exclusive(g.server.indexOf(index), id)()
	if !p.empty() {
		tag, err := g.storedTag(ctx, index, id)
		if err != nil {
			return err
		}
		if err := p.holds(tag); err != nil {
			return err
		}
	}
	return write()
}
