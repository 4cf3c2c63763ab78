package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/api"
)

// bomb is gzip that is about a thousand times longer unpacked.
func bomb(t *testing.T, prefix string, fill byte, megabytes int) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, prefix)
	block := bytes.Repeat([]byte{fill}, 1<<20)
	for i := 0; i < megabytes && err == nil; i++ {
		_, err = w.Write(block)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHostile sends bytes that no client library sends, over the network, and
// wants the answers that docs/api.md names. A status of 0 means that the
// connection ends without one.
func TestHostile(t *testing.T) {
	url, _ := serve(t, newFake(), api.Config{
		Files: fileIngester(t), MaxBodyBytes: 1 << 20, MaxFileBytes: 1 << 20,
		ReadHeaderTimeout: 300 * time.Millisecond, BodyTimeout: 300 * time.Millisecond, MaxHeaderBytes: 16 << 10,
	})
	address := strings.TrimPrefix(url, "http://")
	const ask = `{"question":"x"}`
	request := func(method, target, body string, header ...string) string {
		head := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		if body != "" {
			head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
		for _, h := range header {
			head += h + "\r\n"
		}
		return head + "\r\n" + body
	}
	const isJSON, isLines, isGzip = "Content-Type: application/json", "Content-Type: application/x-ndjson", "Content-Encoding: gzip"
	const form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"
	const documents = "/v1/indexes/default/documents/"
	for _, c := range []struct {
		name, raw string
		status    int
	}{
		{"slow header", "POST /v1/ask HTTP/1.1\r\nHost: local", 0},
		{"slow body", request("POST", "/v1/ask", ask, isJSON)[:len(request("POST", "/v1/ask", ask, isJSON))-3], 408},
		{"slow bulk", "POST /v1/indexes/default/bulk HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" + isLines + "\r\n\r\n5\r\n{\"id\"", 408},
		{"slow upload", "POST /v1/indexes/default/files HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 100000\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n" + form + "x", 408},
		{"huge header", request("GET", "/healthz", "", "X-Filler: "+strings.Repeat("x", 64<<10)), 431},
		{"many headers", request("GET", "/healthz", "", strings.Repeat("A: b\r\n", 10_000)+"A: b"), 431},
		{"huge path", request("GET", "/"+strings.Repeat("x", 64<<10), ""), 431},
		{"long id", request("GET", documents+strings.Repeat("x", 8<<10), ""), 400},
		{"NUL in a header", request("GET", "/v1/indexes", "", "Authorization: Bearer \x00"), 400},
		{"folded header", request("GET", "/v1/indexes", "", "X-A: b\r\n c"), 200},
		{"two lengths", request("POST", "/v1/ask", ask, isJSON, "Content-Length: 3"), 400},
		{"length and chunks", request("POST", "/v1/ask", ask, isJSON, "Transfer-Encoding: chunked") + "\r\n", 400},
		{"length below 0", "POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400},
		{"two transfer encodings", request("POST", "/v1/ask", "", isJSON, "Transfer-Encoding: gzip, chunked"), 501},
		{"broken chunk", request("POST", "/v1/ask", "", isJSON, "Transfer-Encoding: chunked") + "zz\r\n", 400},
		{"no host", "GET /v1/indexes HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
		{"two hosts", request("GET", "/v1/indexes", "", "Host: evil.example"), 400},
		{"another host", "GET /v1/indexes HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 403},
		{"a proxy's request", "GET http://evil.example/v1/indexes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 403},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0},
		{"expects what nobody gives", request("POST", "/v1/ask", ask, isJSON, "Expect: 200-ok"), 417},

		{"deep JSON", request("POST", "/v1/ask", strings.Repeat(`{"filter":`, 100_000), isJSON), 400},
		{"deep lists", request("POST", "/v1/ask", `{"filter":`+strings.Repeat("[", 500_000), isJSON), 400},
		{"deep metadata", request("PUT", documents+"a", `{"text":"x","metadata":{"a":`+strings.Repeat(`{"a":`, 10_000)+"1"+strings.Repeat("}", 10_000)+"}}", isJSON), 400},
		{"a number without end", request("POST", "/v1/ask", `{"question":"x","top_k":1`+strings.Repeat("0", 500_000)+"}", isJSON), 400},
		{"many keys", request("POST", "/v1/ask", `{"question":"x"`+strings.Repeat(`,"a":1`, 100_000)+"}", isJSON), 400},
		{"invalid UTF-8", request("POST", "/v1/ask", "{\"question\":\"\xff\"}", isJSON), 400},
		{"overlong UTF-8", request("POST", "/v1/ask", "{\"question\":\"\xc0\xaf\"}", isJSON), 400},
		{"UTF-16", request("POST", "/v1/ask", "\xff\xfe{\x00\"\x00q\x00", isJSON), 400},
		{"a byte order mark", request("POST", "/v1/ask", "\xef\xbb\xbf"+ask, isJSON), 400},
		{"half a surrogate pair", request("POST", "/v1/ask", `{"question":"\ud800"}`, isJSON), 400},

		{"up", request("GET", "/v1/indexes/../keys", ""), 404},
		{"up, escaped", request("GET", "/v1/indexes/%2e%2e/documents", ""), 400},
		{"up in an id", request("GET", documents+"..%2f..%2f..%2fetc%2fpasswd", ""), 404},
		{"up in an id, plain", request("GET", documents+"../../../etc/passwd", ""), 404},
		{"double escapes", request("GET", documents+"%252e%252e%252f", ""), 404},
		{"NUL in an id", request("GET", documents+"a%00.txt", ""), 400},
		{"id that is not UTF-8", request("GET", documents+"%ff%fe", ""), 400},
		{"overlong slash in an id", request("GET", documents+"%c0%af", ""), 400},
		{"broken escape", request("GET", documents+"%zz", ""), 400},
		{"backslashes as index", request("PUT", `/v1/indexes/..%5c..%5cx`, "", "Content-Length: 0"), 400},
		{"device as index", request("PUT", "/v1/indexes/con.", "", "Content-Length: 0"), 400},

		{"bomb to ask", request("POST", "/v1/ask", bomb(t, `{"question":"`, 'x', 200), isJSON, isGzip), 413},
		{"bomb of blank lines", request("POST", "/v1/indexes/default/bulk", bomb(t, "", '\n', 200), isLines, isGzip), 413},
		{"bomb of one line", request("POST", "/v1/indexes/default/bulk", bomb(t, `{"id":"`, 'x', 200), isLines, isGzip), 413},
		{"bomb as upload", request("POST", "/v1/indexes/default/files", bomb(t, form, 'x', 200), "Content-Type: multipart/form-data; boundary=b", isGzip), 413},
		{"bomb as part header", request("POST", "/v1/indexes/default/files", bomb(t, "--b\r\nX-A: ", 'x', 200), "Content-Type: multipart/form-data; boundary=b", isGzip), 400},
		{"gzip in gzip", request("POST", "/v1/ask", zipped(t, zipped(t, ask)), isJSON, isGzip), 400},
		{"gzip that is cut off", request("POST", "/v1/ask", zipped(t, ask)[:15], isJSON, isGzip), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.DialTimeout("tcp", address, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			go func() { _, _ = io.WriteString(conn, c.raw) }() // the server may stop reading
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if c.status == 0 {
				if err == nil && response.StatusCode < 400 {
					t.Errorf("got %s, want the connection to end", response.Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != c.status {
				t.Errorf("got %d %.300s, want %d", response.StatusCode, body, c.status)
			}
		})
	}
	// It serves others as before.
	if response, body, err := post(t, t.Context(), url+"/v1/ask", ask); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("afterwards: got %s, %v", body, err)
	}
}
