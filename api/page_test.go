package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/web"
)

// TestPage gets every file of the web page, with its headers.
func TestPage(t *testing.T) {
	h := newHarness(t, api.Config{})
	for _, file := range web.Files() {
		a := h.do("GET", file.Path, "")
		if a.status != 200 || len(a.body) == 0 || a.header.Get("Content-Type") != file.MediaType {
			t.Errorf("%s: got %d, %q, %d bytes; want 200 and %q", file.Path, a.status, a.header.Get("Content-Type"), len(a.body), file.MediaType)
		}
		policy := a.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: got the policy %q", file.Path, policy)
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: may be taken for another type", file.Path)
		}
		again := h.do("GET", file.Path, "", "If-None-Match", a.header.Get("ETag"))
		if again.status != http.StatusNotModified || len(again.body) != 0 {
			t.Errorf("%s again: got %d with %d bytes, want 304", file.Path, again.status, len(again.body))
		}
		if stale := h.do("GET", file.Path, "", "If-None-Match", `"old"`); stale.status != 200 {
			t.Errorf("%s with an old tag: got %d, want 200", file.Path, stale.status)
		}
	}
	if a := h.do("GET", "/healthz", ""); strings.Contains(a.header.Get("Content-Security-Policy"), "self") {
		t.Errorf("the API allows scripts: %q", a.header.Get("Content-Security-Policy"))
	}
}

// TestPageRefersToItsOwnFiles finds no other site, no inline script or style,
// and no file that is not there.
func TestPageRefersToItsOwnFiles(t *testing.T) {
	files := make(map[string]web.File)
	for _, file := range web.Files() {
		files[file.Path] = file
	}
	reference := regexp.MustCompile(`(?:src|href)="([^"#][^"]*)"|from '([^']+)'|url\(([^)]+)\)`)
	for _, file := range files {
		for _, match := range reference.FindAllStringSubmatch(string(file.Data), -1) {
			target := match[1] + match[2] + match[3]
			if strings.HasPrefix(target, "./") {
				target = "/page/" + target[2:]
			}
			if _, ok := files[target]; !ok && target != "/openapi.json" {
				t.Errorf("%s refers to %q, which is no file of the page", file.Path, target)
			}
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick=", "<style"} {
			if strings.Contains(string(file.Data), bad) {
				t.Errorf("%s has %s", file.Path, bad)
			}
		}
	}
}
