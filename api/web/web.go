// Package web holds the web page of the server: plain HTML, CSS and JavaScript
// modules, embedded as they stand in the directory files. The page calls the
// HTTP API and needs nothing from other sites.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
)

//go:embed files
var files embed.FS

// A File is one file of the page.
type File struct {
	// Path is the path of the URL, for example /page/app.js.
	Path      string
	MediaType string
	// ETag is a strong entity tag made from the content.
	ETag string
	Data []byte
}

// Files returns the files of the page. The page itself has the path /.
func Files() []File {
	list := []File{
		{Path: "/", MediaType: "text/html; charset=utf-8"},
		{Path: "/page/style.css", MediaType: "text/css; charset=utf-8"},
		{Path: "/page/icon.svg", MediaType: "image/svg+xml"},
		{Path: "/page/app.js"},
		{Path: "/page/api.js"},
		{Path: "/page/add.js"},
		{Path: "/page/dom.js"},
		{Path: "/page/feedback.js"},
		{Path: "/page/filters.js"},
		{Path: "/page/indexes.js"},
		{Path: "/page/key.js"},
		{Path: "/page/results.js"},
		{Path: "/page/review.js"},
		{Path: "/page/status.js"},
		{Path: "/page/text.js"},
		{Path: "/page/viewer.js"},
	}
	for i := range list {
		f := &list[i]
		name := "files/index.html"
		if f.Path != "/" {
			name = "files/" + f.Path[len("/page/"):]
		}
		// The files are part of the program; a test opens each of them.
		f.Data, _ = fs.ReadFile(files, name)
		if f.MediaType == "" {
			f.MediaType = "text/javascript; charset=utf-8"
		}
		sum := sha256.Sum256(f.Data)
		f.ETag = `"` + hex.EncodeToString(sum[:12]) + `"`
	}
	return list
}
