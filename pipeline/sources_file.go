package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

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
