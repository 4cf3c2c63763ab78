package wire

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/needle-search/needle/pipeline"
)

// Read is the body of POST /v1/read.
type Read struct {
	pipeline.ReadRequest
	BudgetMS int64 `json:"budget_ms,omitempty"`
}

// Rerank is the body of POST /v1/rerank.
type Rerank struct {
	Query           string           `json:"query"`
	Documents       []RerankDocument `json:"documents"`
	TopN            int              `json:"top_n,omitempty"`
	ReturnDocuments bool             `json:"return_documents,omitempty"`
	// Model is a named model with a relevance head; other names, which clients
	// of other servers send, mean the bundle that reads.
	Model string `json:"model,omitempty"`
	// MaxTokensPerDoc is what such clients may send too. Documents are read
	// whole here, so there is nothing to limit.
	MaxTokensPerDoc int `json:"max_tokens_per_doc,omitempty"`
}

// A RerankDocument is a text, sent as a string or as {"text": "..."}.
type RerankDocument string

// UnmarshalJSON takes both forms.
func (d *RerankDocument) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*d = RerankDocument(text)
		return nil
	}
	var object struct {
		Text *string `json:"text"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&object); err != nil || object.Text == nil {
		return errors.New(`documents: one is neither a string nor an object with the string "text" alone`)
	}
	*d = RerankDocument(*object.Text)
	return nil
}
