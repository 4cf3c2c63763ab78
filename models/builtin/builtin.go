// Package builtin holds the bundles that are compiled into the program, so that
// Needle answers without a download:
//
//	bundle, err := builtin.Bundle()                // reads: span and relevance
//	bundle, err := builtin.EmbeddingBundle()       // gives passages their vectors
//
// The bundles are data: training/ makes them, and nothing here knows which models they
// are. Everything in this package is safe for concurrent use.
package builtin

import (
	"embed"
	"fmt"
	"io/fs"

	"github.com/needle-search/needle/models"
)

//go:embed bundle
var embedded embed.FS

// Files returns the files of the embedded bundle, with the manifest at the
// root.
func Files() fs.FS {
	// Sub fails for invalid paths only, and this one is a constant.
	files, err := fs.Sub(embedded, "bundle")
	if err != nil {
		return embedded
	}
	return files
}

// Bundle returns the embedded bundle. Errors wrap models.ErrInvalidBundle; they
// mean that the program was built from a damaged checkout.
func Bundle() (*models.Bundle, error) {
	b, err := models.ReadBundle(Files())
	if err != nil {
		return nil, fmt.Errorf("builtin: read the embedded bundle: %w", err)
	}
	return b, nil
}
