package ingest_test

import (
	"context"
	"io"

	"github.com/needle-search/needle/ingest"
)

// hooked calls a function with the path of a file before it is processed.
type hooked struct {
	ingest.Processor
	before func(path string)
}

func (h hooked) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	h.before(file.Path)
	return h.Processor.Process(ctx, file, content, sink)
}
