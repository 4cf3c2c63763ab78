// Package xlsx reads workbooks of Excel (Office Open XML), each as one document
// in which every sheet is a section and a page.
//
// Cells are shown as Excel shows them, dates as 2006-01-02. Where the first row
// of a sheet holds the labels of its columns, every row names them, so that it
// can be read on its own. Hidden sheets, comments, charts and pictures are left
// out. A [Processor] is immutable and safe for concurrent use.
package xlsx

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/ooxml"
	"github.com/needle-search/needle/ingest/internal/packed"
	"github.com/needle-search/needle/ingest/internal/tabular"
)

// MediaType is the media type of documents from XLSX files.
const MediaType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

// Sheets beyond memoryBytes wait in a temporary file.
const memoryBytes = 16 << 20

// maxRows is how many rows Excel allows; a file may claim more.
const maxRows = 1 << 20

// Processor reads XLSX files. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "xlsx" }

// Match implements [ingest.Processor].
func (Processor) Match(name string, head []byte) ingest.Confidence {
	return ooxml.Match(name, head, "xl/", ".xlsx", ".xlsm", ".xltx", ".xltm")
}

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) (err error) {
	z, err := packed.OpenZip(content)
	if err != nil {
		return err
	}
	if z.Has("xl/workbook.bin") {
		return fmt.Errorf("%w: it is a binary workbook; save it as .xlsx", ingest.ErrUnsupported)
	}
	var doc ingest.Extracted
	doc.ID = file.ID
	doc.Source = file.Source(MediaType)
	ooxml.Properties(ctx, z, &doc)
	slim, err := strip(z)
	if err != nil {
		return err
	}
	book, err := excelize.OpenReader(slim, excelize.Options{
		UnzipSizeLimit: packed.MaxTotalBytes, UnzipXMLSizeLimit: memoryBytes,
		ShortDatePattern: "yyyy-mm-dd", LongDatePattern: "yyyy-mm-dd", LongTimePattern: "hh:mm:ss",
	})
	if err != nil {
		return fmt.Errorf("%w: %w", packed.ErrBroken, err)
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	out := &ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}
	sheets := 0
	for _, name := range book.GetSheetList() {
		if visible, err := book.GetSheetVisible(name); err != nil || !visible {
			continue
		}
		sheets++
		out.Page()
		if err := readSheet(ctx, book, name, out); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			sink.Fault(0, fmt.Errorf("sheet %q: %w", name, err))
		}
	}
	if err := out.Err(); err != nil {
		return err
	}
	// The names of the sheets alone are not worth a document.
	if rows := out.Len(); rows == 0 {
		return ingest.ErrEmpty
	}
	title := doc.Title
	out.Fill(&doc, file.Title())
	if title == "" {
		doc.Title = file.Title() // a sheet's name says less than the file's
	}
	doc.SetMeta(ingest.MetaPages, int64(sheets))
	return sink.Document(doc)
}

// strip leaves out what does not make text, such as pictures, which the library
// would hold in memory.
func strip(z *packed.Zip) (io.Reader, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range z.Files {
		name := strings.ReplaceAll(f.Name, `\`, "/")
		folder, _, _ := strings.Cut(strings.TrimPrefix(name, "xl/"), "/")
		switch folder {
		case "media", "embeddings", "drawings", "charts", "printerSettings", "activeX", "ctrlProps", "externalLinks", "model", "calcChain.xml", "vbaProject.bin", "pivotCache", "pivotTables", "diagrams", "queryTables", "threadedComments", "persons", "customXml":
			continue
		}
		if f.FileInfo().IsDir() || strings.HasPrefix(name, "customXml/") || strings.HasPrefix(name, "docProps/") {
			continue
		}
		if f.UncompressedSize64 > packed.MaxTotalBytes {
			return nil, fmt.Errorf("%s: %w: %d bytes", name, ingest.ErrBomb, f.UncompressedSize64)
		}
		if err := w.Copy(f); err != nil {
			return nil, fmt.Errorf("%w: %w", packed.ErrBroken, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &out, nil
}

func readSheet(ctx context.Context, book *excelize.File, name string, out *ingest.Builder) (err error) {
	rows, err := book.Rows(name)
	if err != nil {
		// A sheet of charts has no cells.
		var none excelize.ErrSheetNotExist
		if errors.As(err, &none) {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	table := tabular.Writer{Out: out}
	started := false
	for n := 0; n < maxRows && rows.Next(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		cells, err := rows.Columns()
		if err != nil {
			return err
		}
		if strings.TrimSpace(strings.Join(cells, "")) == "" {
			continue
		}
		if !started {
			out.Heading(1, name)
			started = true
		}
		table.Row(cells)
		if out.Err() != nil {
			return nil // told once, for the file
		}
	}
	table.End()
	return rows.Error()
}
