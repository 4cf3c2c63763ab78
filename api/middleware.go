package api

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
)

// Keys of what a request keeps for its log line.
const (
	keyRequestID = "needle.request_id"
	keyCode      = "needle.code"
	keyCause     = "needle.cause"
	keySubject   = "needle.subject"
	keyCount     = "needle.count"
)

const headerRequestID = "X-Request-Id"

// observe gives every request an id and a log line. What was asked is never
// logged.
func (s *Server) observe(c *gin.Context) {
	begin := time.Now()
	id := c.GetHeader(headerRequestID)
	if !saneRequestID(id) {
		id = rand.Text()
	}
	c.Set(keyRequestID, id)
	header := c.Writer.Header()
	header.Set(headerRequestID, id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if c.Request.TLS != nil {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}

	control := http.NewResponseController(c.Writer)
	// What an earlier request on this connection set.
	_ = control.SetWriteDeadline(time.Time{})
	if c.Request.Body == nil || c.Request.Body == http.NoBody {
		// There is no body to wait for, so the time to read it must not end the
		// request.
		_ = control.SetReadDeadline(time.Time{})
	}
	defer func() {
		status := c.Writer.Status()
		level := slog.LevelInfo
		route := c.FullPath()
		switch {
		case c.GetString(keyCode) == wire.CodeOverloaded:
			// Nothing is broken, and under overload there are many of them.
			level = slog.LevelWarn
		case status >= http.StatusInternalServerError:
			level = slog.LevelError
		case route == "/healthz" || route == "/readyz":
			level = slog.LevelDebug
		case route == "":
			route = "none"
		}
		attrs := []slog.Attr{
			slog.String("method", c.Request.Method),
			slog.String("route", route),
			slog.Int("status", status),
			slog.Float64("duration_ms", float64(time.Since(begin).Microseconds())/1000),
			slog.Int("bytes", max(0, c.Writer.Size())),
			slog.String("request_id", id),
		}
		if who := identity(c).ID; who != "" && who != auth.AnonymousID {
			attrs = append(attrs, slog.String("caller", who))
		}
		if code := c.GetString(keyCode); code != "" {
			attrs = append(attrs, slog.String("code", code))
		}
		if cause, ok := c.Get(keyCause); ok {
			attrs = append(attrs, slog.Any("cause", cause))
		}
		s.logger.LogAttrs(c.Request.Context(), level, "request", attrs...)
	}()
	c.Next()
}

// saneRequestID accepts what cannot break a log line or a header.
func saneRequestID(id string) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:/+=", r)
	}) < 0
}

func requestID(c *gin.Context) string { return c.GetString(keyRequestID) }

// recoverPanic turns a panic into a problem; its stack is logged.
func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		switch v := recover(); {
		case v == nil:
		case v == http.ErrAbortHandler: //nolint:errorlint // the value itself is the signal
			panic(v)
		default:
			s.fail(c, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
			c.Abort()
		}
	}()
	c.Next()
}

// guard refuses what a web page of another site sends through the browser of
// somebody who can reach this server: requests across origins, and names that
// were made to point at a loopback address (DNS rebinding).
func (s *Server) guard(c *gin.Context) {
	if local, ok := c.Request.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && isLoopback(local) && !s.hostAllowed(c.Request.Host) {
		s.fail(c, problemError{wire.CodeHostNotAllowed, "Requests to this machine's loopback address must name localhost or an IP address as their host, not " + strconv.Quote(c.Request.Host) + "."})
		c.Abort()
		return
	}
	if err := s.origin.Check(c.Request); err != nil {
		s.fail(c, problemError{code: wire.CodeCrossOrigin})
		c.Abort()
		return
	}
	c.Next()
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func (s *Server) hostAllowed(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" || host == "localhost" || slices.Contains(s.config.Hosts, host) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// writeJSON answers with a value. Nothing is sent before the whole answer could
// be encoded.
func (s *Server) writeJSON(c *gin.Context, status int, value any) error {
	data, err := encodeJSON(value)
	if err != nil {
		return fmt.Errorf("api: encode the answer: %w", err)
	}
	s.write(c, status, "application/json", data)
	return nil
}

func (s *Server) write(c *gin.Context, status int, contentType string, data []byte) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(s.config.WriteTimeout))
	header := c.Writer.Header()
	header.Set("Content-Type", contentType)
	data = zip(c.Request, header, data)
	header.Set("Content-Length", strconv.Itoa(len(data)))
	c.Status(status)
	if _, err := c.Writer.Write(data); err != nil {
		c.Set(keyCause, fmt.Errorf("write the answer: %w", err))
	}
}

func encodeJSON(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	// Answers are no HTML: they are sent as JSON with nosniff, and their text
	// must read as it stands in the document.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}
