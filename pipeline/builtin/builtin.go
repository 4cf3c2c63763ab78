// Package builtin is the one list of the implementations that Needle brings:
//
//	cfg, err := pipeline.LoadConfig("needle.yaml", builtin.Registry())
//
// A new retriever, prediction head or file format is one package plus one line
// here. Programs that bring their own add them to the returned registry.
package builtin

import (
	"context"
	"errors"
	"path/filepath"

	embedded "github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/heads/classification"
	"github.com/needle-search/needle/models/heads/embedding"
	"github.com/needle-search/needle/models/heads/relevance"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/heads/tokens"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/models/tokenizer"

	"github.com/needle-search/needle/ingest/pdf"
	"github.com/needle-search/needle/ingest/s3"
	"github.com/needle-search/needle/ingest/tika"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
	"github.com/needle-search/needle/retriever/elastic"
)

// Registry returns a new registry with everything that Needle brings. It does
// no I/O.
func Registry() *pipeline.Registry {
	r := &pipeline.Registry{}
	r.AddRetriever("bleve", func() pipeline.RetrieverConfig { return &bleveConfig{bleve.DefaultConfig()} })
	r.AddRetriever("elastic", func() pipeline.RetrieverConfig { return &elasticConfig{elastic.DefaultConfig()} })

	r.SetTokenizer(tokenizer.Load)
	r.SetModel(openModel)
	r.AddBundle("builtin", embedded.Bundle)
	r.AddBundle("builtin-embedding", embedded.EmbeddingBundle)
	r.AddHead(models.HeadSpan, head(span.New))
	r.AddHead(models.HeadRelevance, head(relevance.New))
	r.AddHead(models.HeadEmbedding, head(embedding.New))
	r.AddHead(models.HeadClassification, head(classification.New))
	r.AddHead(models.HeadTokens, head(tokens.New))

	r.AddFormat("tika", func() pipeline.FormatConfig { return &tikaConfig{Config: tika.DefaultConfig()} })
	r.AddFormat("pdf", func() pipeline.FormatConfig { return &pdfConfig{Config: pdf.DefaultConfig()} })
	r.AddFormat("s3", func() pipeline.FormatConfig { return &s3Config{Config: s3.DefaultConfig()} })
	r.SetStore(openStore)
	addRecords(r)
	for _, p := range processors() {
		r.AddProcessor(p)
	}
	for _, p := range profiles() {
		r.AddProfile(p)
	}
	return r
}

// bleveConfig makes bleve's settings the section of a configuration.
type bleveConfig struct {
	bleve.Config `yaml:",inline"`
}

func (c *bleveConfig) Open(_ context.Context, dataDir string) (retriever.Backend, error) {
	return bleve.New(c.Config, filepath.Join(dataDir, "indexes"))
}

func openModel(ctx context.Context, bundle *models.Bundle, o pipeline.ModelOptions) (models.LanguageModel, error) {
	library, err := onnx.Locate(onnx.LocateOptions{Path: o.Library})
	if err != nil {
		return nil, err
	}
	config := onnx.Config{LibraryPath: library.Path, Precision: o.Precision, Device: o.Device, Logger: o.Logger}
	// Without a place to keep what was measured, the usual order decides.
	if cache, err := onnx.CacheDir(); err == nil {
		config.VerdictDir = filepath.Join(cache, "precision")
	}
	model, err := onnx.Open(ctx, config, bundle)
	if o.Fallback && errors.Is(err, onnx.ErrDevice) {
		if o.Logger != nil {
			o.Logger.WarnContext(ctx, "the device is not available, so the model runs on the CPU", "device", o.Device, "error", err)
		}
		config.Device = onnx.DeviceCPU
		return onnx.Open(ctx, config, bundle)
	}
	return model, err
}

// head adapts the constructors of heads, which want the width only.
func head(open func(models.HeadSpec, func(string) ([]byte, error), int) (models.Head, error)) pipeline.OpenHead {
	return func(spec models.HeadSpec, read func(string) ([]byte, error), info models.ModelInfo) (models.Head, error) {
		return open(spec, read, info.Width)
	}
}
