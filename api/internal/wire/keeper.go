package wire

import "github.com/needle-search/needle/retriever"

// BackupType is the media type of a backup.
const BackupType = "application/gzip"

// Swap is the body of POST /v1/indexes/{index}/swap.
type Swap struct {
	With string `json:"with"`
}

// Rebuild is the body of POST /v1/indexes/{index}/rebuild.
type Rebuild struct {
	Split bool `json:"split,omitempty"`
}

// Fields is the body of PUT /v1/indexes/{index} and of
// POST /v1/indexes/{index}/fields.
type Fields struct {
	Fields map[string]retriever.FieldType `json:"fields,omitempty"`
}
