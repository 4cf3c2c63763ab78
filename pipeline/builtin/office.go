package builtin

import (
	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/docx"
	"github.com/needle-search/needle/ingest/epub"
	"github.com/needle-search/needle/ingest/mail"
	"github.com/needle-search/needle/ingest/odf"
	"github.com/needle-search/needle/ingest/pptx"
	"github.com/needle-search/needle/ingest/rtf"
	"github.com/needle-search/needle/ingest/xlsx"
)

// officeProcessors are the formats that programs for texts, tables and slides
// write, mails and books. They are known by their content.
func officeProcessors() []ingest.Processor {
	return []ingest.Processor{
		docx.Processor{}, pptx.Processor{}, xlsx.Processor{}, odf.Processor{}, rtf.Processor{}, epub.Processor{}, mail.Processor{},
	}
}
