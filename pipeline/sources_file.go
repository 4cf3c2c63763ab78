package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/needle-search/needle/retriever"
)

// readSourcesFile returns the record of an index's sources as it is stored, nil
// if there is none.
func readSourcesFile(data, index string) (json.RawMessage, error) {
	sources, err := ReadSources(data, index)
	if err != nil || sources == nil {
		return nil, err
	}
	return json.Marshal(sourcesFile{Format: sourcesFormat, Sources: sources})
}

// writeSourcesFile replaces the record by one that readSourcesFile returned, or
// removes it.
func writeSourcesFile(data, index string, text json.RawMessage) error {
	if text == nil {
		return removeSources(data, index)
	}
	var file sourcesFile
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	if file.Format != sourcesFormat {
		return fmt.Errorf("sources: %w: %d, want %d", retriever.ErrVersion, file.Format, sourcesFormat)
	}
	return file.Sources.write(data, index)
}

// swapSources lets the records of two indexes follow their names. A crash in
// between leaves a record that the next sync puts right.
func swapSources(data, a, b string) error {
	x, y := sourcesPath(data, a), sourcesPath(data, b)
	aside := x + ".swap"
	for _, move := range [...]struct{ from, to string }{{x, aside}, {y, x}, {aside, y}} {
		if err := os.Rename(move.from, move.to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sources: %w", err)
		}
	}
	return nil
}
