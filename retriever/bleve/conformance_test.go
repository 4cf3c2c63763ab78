package bleve_test

import (
	"testing"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
	"github.com/needle-search/needle/retriever/retrievertest"
)

func TestConformance(t *testing.T) {
	retrievertest.Run(t, func(t *testing.T) retriever.Backend {
		backend, err := bleve.New(bleve.DefaultConfig(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return backend
	})
}
