package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/retriever"
)

// A RetrieverConfig is the section `retriever` of a configuration for one type
// of retriever. It is a pointer to a struct with yaml tags, filled with the
// defaults before decoding; it does not hold the keys `type` and `top_k`.
type RetrieverConfig interface {
	// Validate checks the values without touching disk or network.
	Validate() error
	// Open opens the back end for a data directory.
	Open(ctx context.Context, dataDir string) (retriever.Backend, error)
}

// ModelOptions say how a language model is to run.
type ModelOptions struct {
	// Precision is auto, fp32, fp16 or int8.
	Precision string
	// Device is cpu or cuda:N.
	Device string
	// Fallback lets the model run on the CPU where the device is not
	// available; its info then names the CPU.
	Fallback bool
	// Library is the path of the ONNX Runtime library; empty means to look in
	// the usual places.
	Library string
	// Logger receives what the model has to say when it is opened.
	Logger *slog.Logger
}

// OpenModel opens the language model of a bundle.
type OpenModel func(ctx context.Context, bundle *models.Bundle, options ModelOptions) (models.LanguageModel, error)

// OpenHead opens a prediction head of a bundle. The function read returns a
// checked file of the bundle.
type OpenHead func(spec models.HeadSpec, read func(name string) ([]byte, error), info models.ModelInfo) (models.Head, error)

// OpenTokenizer opens a tokenizer from the bytes of a tokenizer.json.
type OpenTokenizer func(data []byte) (models.Tokenizer, error)

// OpenBundle opens a bundle that is known by name.
type OpenBundle func() (*models.Bundle, error)

// A Registry holds the constructors of everything that a configuration may
// name. The zero value is empty and usable. Fill it before it is used; it is
// not safe to change it while others read it.
type Registry struct {
	retrievers map[string]func() RetrieverConfig
	heads      map[string]OpenHead
	bundles    map[string]OpenBundle
	processors []format
	formats    map[string]func() FormatConfig
	model      OpenModel
	tokenizer  OpenTokenizer
	profiles   []Profile
	store      OpenStoreDriver
}

// AddRetriever registers a type of retriever; newConfig returns its defaults.
func (r *Registry) AddRetriever(typ string, newConfig func() RetrieverConfig) {
	r.retrievers = put(r.retrievers, typ, newConfig)
}

// AddHead registers a kind of prediction head.
func (r *Registry) AddHead(kind string, open OpenHead) { r.heads = put(r.heads, kind, open) }

// AddBundle registers a bundle under a name for reader.bundle.
func (r *Registry) AddBundle(name string, open OpenBundle) { r.bundles = put(r.bundles, name, open) }

// AddProcessor registers a file format. Processors are asked in order.
func (r *Registry) AddProcessor(p ingest.Processor) {
	r.processors = append(r.processors, format{processor: p})
}

// AddProfile registers a score profile.
func (r *Registry) AddProfile(p Profile) { r.profiles = append(r.profiles, p) }

// SetModel registers what opens language models.
func (r *Registry) SetModel(open OpenModel) { r.model = open }

// SetTokenizer registers what opens tokenizers.
func (r *Registry) SetTokenizer(open OpenTokenizer) { r.tokenizer = open }

func put[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = make(map[string]V)
	}
	m[key] = value
	return m
}

func names[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

func (r *Registry) openHead(bundle *models.Bundle, kind string, info models.ModelInfo) (models.Head, error) {
	spec, ok := bundle.Head(kind)
	if !ok {
		return nil, fmt.Errorf("%w: %q has no %s head, which reading needs", models.ErrInvalidBundle, bundle.Manifest.Name, kind)
	}
	open, ok := r.heads[spec.Kind]
	if !ok {
		return nil, fmt.Errorf("pipeline: no head of kind %q is registered; there are %s", spec.Kind, names(r.heads))
	}
	head, err := open(spec, bundle.ReadFile, info)
	if err != nil {
		return nil, err
	}
	for _, output := range head.Requires() {
		if !slices.Contains(info.OutputNames, output) {
			return nil, fmt.Errorf("%w: head %q of %q reads the output %q; the graph has %s",
				models.ErrInvalidBundle, kind, bundle.Manifest.Name, output, strings.Join(info.OutputNames, ", "))
		}
	}
	return head, nil
}

func (r *Registry) openRelevance(bundle *models.Bundle, info models.ModelInfo) (models.RelevanceHead, error) {
	head, err := r.openHead(bundle, models.HeadRelevance, info)
	if err != nil {
		return nil, err
	}
	relevance, ok := head.(models.RelevanceHead)
	if !ok {
		return nil, fmt.Errorf("pipeline: the head registered as %q predicts no relevance", models.HeadRelevance)
	}
	return relevance, nil
}
