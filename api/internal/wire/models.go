package wire

import "github.com/needle-search/needle/pipeline"

// Models is the answer to GET /v1/models.
type Models struct {
	Models []pipeline.ModelStatus `json:"models"`
}
