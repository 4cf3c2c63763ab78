package backup

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/needle-search/needle/retriever"
)

// Write writes a backup of a snapshot. The caller makes the file durable. On an
// error the file is no backup and a [Reader] says so.
func Write(ctx context.Context, w io.Writer, header Header, snapshot retriever.Snapshot) (Summary, error) {
	summary, err := write(ctx, w, header, snapshot)
	if err != nil {
		return Summary{}, fmt.Errorf("backup: write: %w", err)
	}
	return summary, nil
}

func write(ctx context.Context, w io.Writer, header Header, snapshot retriever.Snapshot) (Summary, error) {
	header.Magic, header.Format, header.Index = magic, Format, snapshot.Stats()
	packed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return Summary{}, err
	}
	out := &lineWriter{to: packed, sum: sha256.New()}
	if err := out.write(&header); err != nil {
		return Summary{}, err
	}
	var summary Summary
	for e, err := range snapshot.Entries(ctx) {
		if err != nil {
			return Summary{}, err
		}
		if err := out.write(line{Document: fromEntry(&e)}); err != nil {
			return Summary{}, err
		}
		summary.Documents++
		summary.Passages += uint64(len(e.Passages))
	}
	if stats := header.Index; summary.Documents != stats.Documents || summary.Passages != stats.Passages {
		return Summary{}, fmt.Errorf("%w: it has %d documents with %d passages, but counts %d with %d; run needle index verify",
			retriever.ErrCorrupt, summary.Documents, summary.Passages, stats.Documents, stats.Passages)
	}
	summary.SHA256 = hex.EncodeToString(out.sum.Sum(nil))
	if err := out.write(line{End: &summary}); err != nil {
		return Summary{}, err
	}
	return summary, packed.Close()
}

// lineWriter writes values as lines of JSON and sums them up.
type lineWriter struct {
	to     io.Writer
	sum    hash.Hash
	buffer bytes.Buffer
}

func (w *lineWriter) write(value any) error {
	w.buffer.Reset()
	encoder := json.NewEncoder(&w.buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	w.sum.Write(w.buffer.Bytes()) // never fails
	_, err := w.to.Write(w.buffer.Bytes())
	return err
}
