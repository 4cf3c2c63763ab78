package builtin

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/needle-search/needle/models"
)

//go:embed embedding
var embeddedEmbedding embed.FS

// EmbeddingFiles returns the files of the embedded bundle that turns texts into
// vectors, with the manifest at the root.
func EmbeddingFiles() fs.FS {
	files, err := fs.Sub(embeddedEmbedding, "embedding")
	if err != nil {
		return embeddedEmbedding
	}
	return overlay{files, Files()}
}

// EmbeddingBundle returns the embedded bundle with an embedding head. Errors
// wrap models.ErrInvalidBundle; they mean that the program was built from a
// damaged checkout.
func EmbeddingBundle() (*models.Bundle, error) {
	b, err := models.ReadBundle(EmbeddingFiles())
	if err != nil {
		return nil, fmt.Errorf("builtin: read the embedded embedding bundle: %w", err)
	}
	return b, nil
}

// overlay takes the tokenizer, which both bundles have, from the other one: the
// program holds it once. The manifest's checksum makes sure that it is the one
// that the weights were trained with.
type overlay struct{ own, shared fs.FS }

const tokenizerFile = "tokenizer.json"

// Open implements [fs.FS].
func (o overlay) Open(name string) (fs.File, error) {
	f, err := o.own.Open(name)
	if name == tokenizerFile && errors.Is(err, fs.ErrNotExist) {
		return o.shared.Open(name)
	}
	return f, err
}
