package onnx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/internal/ort"
)

// The inputs that a graph may have.
const (
	inputIDs      = "input_ids"
	inputMask     = "attention_mask"
	inputSegments = "token_type_ids"
)

// batchTokensGPU is large enough to fill a GPU with a model of this size.
const batchTokensGPU = 16384

// A model is a session with what is known about its graph.
type model struct {
	session *ort.Session
	info    models.ModelInfo
	inputs  []string
	outputs []output
	// batchTokens is 0 where every encoding runs alone.
	batchTokens int
	buffers     sync.Pool // of *[]int64
}

type output struct {
	name string
	// perToken says that the second dimension is the tokens'.
	perToken bool
}

var _ models.LanguageModel = (*model)(nil)

// ErrDevice says that the configured device is not available.
var ErrDevice = ort.ErrDevice

// Open opens the language model of a bundle, checks it and runs it once. A
// missing library gives models.ErrRuntimeMissing, a bundle that does not fit
// together models.ErrInvalidBundle, a device that cannot be used [ErrDevice].
func Open(ctx context.Context, config Config, bundle *models.Bundle) (models.LanguageModel, error) {
	name := bundle.Manifest.Name
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("onnx: open model %q: %w", name, err)
	}
	m, err := open(ctx, config, bundle)
	if err != nil {
		return nil, fmt.Errorf("onnx: open model %q: %w", name, err)
	}
	return m, nil
}

func open(ctx context.Context, config Config, bundle *models.Bundle) (*model, error) {
	started := time.Now()
	if config.LibraryPath == "" {
		return nil, fmt.Errorf("%w; run `needle setup` or set NEEDLE_ORT_LIB to the library", models.ErrRuntimeMissing)
	}
	library, err := ort.Load(config.LibraryPath)
	if err != nil {
		return nil, err
	}
	precision, reason, err := config.chooseMeasured(ctx, library, bundle)
	if err != nil {
		return nil, err
	}
	file := bundle.Manifest.Graphs[precision]
	data, err := bundle.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := newModel(library, config, bundle, precision, file, data)
	if err != nil {
		return nil, err
	}
	if err := m.smoke(ctx, config.VocabularySize); err != nil {
		m.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %s: %w", models.ErrInvalidBundle, file, err)
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	logger.InfoContext(ctx, "opened language model", "bundle", m.info.Name, "precision", precision, "because", reason,
		"device", m.info.Device, "runtime", m.info.Runtime, "took", time.Since(started).Round(time.Millisecond))
	return m, nil
}

func newModel(library *ort.Library, config Config, bundle *models.Bundle, precision, file string, data []byte) (*model, error) {
	invalid := func(err error) error { return fmt.Errorf("%w: %s: %w", models.ErrInvalidBundle, file, err) }
	graph, err := ReadGraph(data)
	if err != nil {
		return nil, invalid(err)
	}
	inputs, outputs, err := match(graph, bundle.Manifest)
	if err != nil {
		return nil, invalid(err)
	}
	device, err := config.device()
	if err != nil {
		return nil, err
	}
	m := &model{
		inputs:  inputs,
		outputs: outputs,
		info: models.ModelInfo{
			Name:      bundle.Manifest.Name,
			Hash:      bundle.Hash,
			Precision: precision,
			Device:    DeviceCPU,
			MaxLength: bundle.Manifest.MaxLength,
			Runtime:   "ONNX Runtime " + library.Version(),
		},
		batchTokens: config.BatchTokens,
	}
	for _, o := range outputs {
		m.info.OutputNames = append(m.info.OutputNames, o.name)
		if o.name == models.OutputHidden {
			m.info.Width = bundle.Manifest.HiddenSize
		}
	}
	if device != nil {
		m.info.Device = config.Device
		if m.batchTokens == 0 {
			m.batchTokens = batchTokensGPU
		}
	}
	if precision == PrecisionInt8 {
		m.batchTokens = 0
	}
	m.session, err = library.NewSession(data, ort.SessionConfig{
		Inputs:  inputs,
		Outputs: m.info.OutputNames,
		Threads: config.Threads,
		Memory:  config.Memory,
		CUDA:    device,
	})
	switch {
	case errors.Is(err, ort.ErrGraph):
		return nil, invalid(errors.Join(err, graph.foreign()))
	case err != nil:
		return nil, err
	}
	return m, nil
}

// Info describes the model.
func (m *model) Info() models.ModelInfo { return m.info }

// Close waits for running calls and frees the session.
func (m *model) Close() error {
	if err := m.session.Close(); err != nil {
		return fmt.Errorf("onnx: close model %q: %w", m.info.Name, err)
	}
	return nil
}
