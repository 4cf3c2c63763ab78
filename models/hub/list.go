package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of what a hub may answer.
const (
	maxListing = 16 << 20
	maxFiles   = 10_000
)

// listing is what the hub says about a revision.
type listing struct {
	Commit string `json:"sha"`
	Files  []file `json:"siblings"`
}

// file is an entry of a listing. What it says beyond the name a mirror may
// leave out.
type file struct {
	Name string `json:"rfilename"`
	Size *int64 `json:"size"`
	// Blob is git's hash of the content.
	Blob string `json:"blobId"`
	// LFS is there for large files, whose Blob is that of a pointer.
	LFS *struct {
		SHA256 string `json:"sha256"`
		Size   int64  `json:"size"`
	} `json:"lfs"`
}

// digest returns the hash that the content must have, empty when the listing
// has none.
func (f file) digest() string {
	if f.LFS != nil {
		return f.LFS.SHA256
	}
	return f.Blob
}

// size returns -1 when the listing has none.
func (f file) size() int64 {
	switch {
	case f.LFS != nil:
		return f.LFS.Size
	case f.Size != nil:
		return *f.Size
	}
	return -1
}

func (c *client) list(ctx context.Context, repo, revision string) (*listing, error) {
	address := c.endpoint.JoinPath("api", "models", repo, "revision", revision)
	address.RawQuery = "blobs=true"
	var l listing
	err := c.retry(ctx, func() (bool, error) {
		response, err := c.get(ctx, address, 0, nil)
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return false, statusError(response)
		}
		data, err := io.ReadAll(io.LimitReader(response.Body, maxListing+1))
		if err != nil {
			return false, err
		}
		if len(data) > maxListing {
			return false, permanent{fmt.Errorf("the list of files has more than %d bytes", maxListing)}
		}
		if err := json.Unmarshal(data, &l); err != nil {
			return false, permanent{fmt.Errorf("the list of files: %w", err)}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if !validCommit.MatchString(l.Commit) {
		return nil, fmt.Errorf("the hub says that the commit is %q", l.Commit)
	}
	if len(l.Files) > maxFiles {
		return nil, fmt.Errorf("the model has %d files; at most %d are read", len(l.Files), maxFiles)
	}
	for _, f := range l.Files {
		if err := checkName(f.Name); err != nil {
			return nil, err
		}
	}
	return &l, nil
}

// checkName refuses names that could lead out of the target, on any system.
// Files that are not wanted are checked too: who sends one such name is not to
// be trusted with others.
func checkName(name string) error {
	if !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsAny(name, "\\:\x00") || len(name) > 512 {
		return fmt.Errorf("the hub names a file %q, which is no path inside the model", name)
	}
	return nil
}

// graphNames are the graphs of each precision that models.ReadBundle reads.
var graphNames = map[string]string{
	"model.onnx": "fp32", "model_fp16.onnx": "fp16", "model_quantized.onnx": "int8", "model_int8.onnx": "int8",
}

// choose returns the files of a bundle: in Needle's own layout all, else those
// that the Hugging Face layout consists of. Small files come first, so that
// what is wrong is seen early.
func (l *listing) choose(precisions []string) []file {
	var chosen []file
	own := slices.ContainsFunc(l.Files, func(f file) bool { return f.Name == "needle.json" })
	for _, f := range l.Files {
		directory, base := path.Split(f.Name)
		precision, isGraph := graphNames[base]
		take := false
		switch {
		case own:
			take = !strings.HasPrefix(base, ".")
		case isGraph:
			take = (directory == "" || directory == "onnx/") && (len(precisions) == 0 || slices.Contains(precisions, precision))
		case directory == "":
			take = slices.Contains([]string{"config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json", "README.md"}, base) ||
				strings.HasPrefix(base, "LICENSE") || strings.HasPrefix(base, "NOTICE")
		case base == "config.json":
			take = strings.Count(directory, "/") == 1 // of a module such as 1_Pooling
		}
		if take {
			chosen = append(chosen, f)
		}
	}
	slices.SortStableFunc(chosen, func(a, b file) int {
		_, graphA := graphNames[path.Base(a.Name)]
		_, graphB := graphNames[path.Base(b.Name)]
		switch {
		case graphA == graphB:
			return strings.Compare(a.Name, b.Name)
		case graphA:
			return 1
		}
		return -1
	})
	return chosen
}
