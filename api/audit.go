package api

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// An auditLog writes one line of JSON for every write and every act of
// administration, whether it was allowed or not.
type auditLog struct {
	mu  sync.Mutex
	out io.Writer
}

// An auditRecord is one line. Texts of documents and secrets are in none.
type auditRecord struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"request_id"`
	// Caller is the id of a key, "jwt:SUBJECT", "local" or "anonymous"; empty if
	// there was no valid key.
	Caller string `json:"caller,omitempty"`
	Remote string `json:"remote,omitempty"`
	// Act is method and route, Index and Subject what it was about: the id of a
	// document or key.
	Act     string `json:"act"`
	Index   string `json:"index,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Count is how many documents were written or deleted.
	Count *int `json:"count,omitempty"`
	// Outcome is done, denied or failed; Code is that of the problem.
	Outcome string `json:"outcome"`
	Status  int    `json:"status"`
	Code    string `json:"code,omitempty"`
}

// audit leaves a line for routes whose rule asks for it.
func (s *Server) audit(c *gin.Context) {
	route := c.Request.Method + " " + c.FullPath()
	if s.auditLog.out == nil || !s.rules[route].audited {
		c.Next()
		return
	}
	defer func() {
		status := c.Writer.Status()
		r := auditRecord{
			Time: time.Now().UTC(), RequestID: requestID(c), Caller: identity(c).ID, Act: route,
			Subject: c.GetString(keySubject), Outcome: "done", Status: status, Code: c.GetString(keyCode),
		}
		switch {
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			r.Outcome = "denied"
		case status >= http.StatusBadRequest:
			r.Outcome = "failed"
		}
		r.Remote, _, _ = net.SplitHostPort(c.Request.RemoteAddr)
		if c.Param("index") != "" {
			if name, err := indexName(c); err == nil {
				r.Index = s.indexOf(name)
			}
		}
		if r.Subject == "" {
			r.Subject = c.Param("key")
		}
		if id := strings.TrimPrefix(c.Param("id"), "/"); r.Subject == "" && id != "" {
			r.Subject, _ = url.PathUnescape(id)
		}
		if n, ok := c.Value(keyCount).(int); ok {
			r.Count = &n
		}
		if err := s.auditLog.write(r); err != nil {
			// What was done is done; that it left no trace must be seen.
			s.logger.Error("the audit log cannot be written", "request_id", requestID(c), "cause", err)
		}
	}()
	c.Next()
}

func (a *auditLog) write(r auditRecord) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err = a.out.Write(append(line, '\n'))
	return err
}

// counted notes how many documents a request has written or deleted so far.
func counted(c *gin.Context, n int) {
	before, _ := c.Value(keyCount).(int)
	c.Set(keyCount, before+n)
}
