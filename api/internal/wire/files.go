package wire

import "github.com/needle-search/needle/pipeline"

// Files is the answer to an upload, one result a file.
type Files struct {
	Files []pipeline.FileResult `json:"files"`
}
