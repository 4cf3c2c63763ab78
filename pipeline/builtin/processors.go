package builtin

import (
	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/jsonl"
	"github.com/needle-search/needle/ingest/markdown"
	"github.com/needle-search/needle/ingest/squad"
	"github.com/needle-search/needle/ingest/text"
)

// processors are the file formats, the most specific first.
func processors() []ingest.Processor {
	return []ingest.Processor{squad.Processor{}, jsonl.Processor{}, markdown.New(), text.Processor{}}
}
