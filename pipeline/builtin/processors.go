package builtin

import (
	"sync"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/archive"
	"github.com/needle-search/needle/ingest/html"
	"github.com/needle-search/needle/ingest/jsonl"
	"github.com/needle-search/needle/ingest/markdown"
	"github.com/needle-search/needle/ingest/olefile"
	"github.com/needle-search/needle/ingest/pdf"
	"github.com/needle-search/needle/ingest/squad"
	"github.com/needle-search/needle/ingest/text"
	"github.com/needle-search/needle/ingest/tika"
)

// processors are the file formats, the most specific first.
func processors() []ingest.Processor {
	return append(officeProcessors(), squad.Processor{}, jsonl.Processor{}, html.Processor{}, markdown.New(), text.Processor{}, archive.Processor{}, olefile.Processor{})
}

// pdfConfig makes the settings of PDF files the section of a configuration.
type pdfConfig struct {
	pdf.Config `yaml:",inline"`

	once      sync.Once
	processor *pdf.Processor
}

func (c *pdfConfig) Processor() ingest.Processor {
	c.once.Do(func() { c.processor = pdf.New(c.Config) })
	return c.processor
}

// tikaConfig makes the settings of a Tika server the section of a configuration.
type tikaConfig struct {
	tika.Config `yaml:",inline"`

	once      sync.Once
	processor *tika.Processor
}

func (c *tikaConfig) Processor() ingest.Processor {
	if c.URL == "" {
		return nil
	}
	c.once.Do(func() { c.processor = tika.New(c.Config) })
	return c.processor
}
