package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
)

// A ModelSection names a bundle beside the reader's, for [Pipeline.Predict] and
// [Pipeline.Rerank]: an embedding model, a classifier, a tagger, a
// cross-encoder. It runs on reader.device.
type ModelSection struct {
	// Bundle is a known name or a directory.
	Bundle string `yaml:"bundle"`
	// Precision is auto (also when empty), fp32, fp16 or int8.
	Precision string `yaml:"precision"`
}

// RolePredict is the role of the models of the section `models`.
const RolePredict = "predict"

var (
	// singleHeads are the kinds of heads that say something of single texts.
	singleHeads = []string{models.HeadEmbedding, models.HeadClassification, models.HeadTokens}
	// namedHeads are those for which a bundle may be named.
	namedHeads = append(slices.Clone(singleHeads), models.HeadRelevance)
)

var validModelName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

func validateModels(sections map[string]ModelSection, known string, fault func(key string, value any, allowed string)) {
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		section := sections[name]
		if !validModelName.MatchString(name) {
			fault("models."+name, "the name", "lower-case letters, digits, - and _, at most 64")
		}
		if section.Bundle == "" {
			fault("models."+name+".bundle", `""`, known+" or a directory")
		}
		switch section.Precision {
		case "", "auto", "fp32", "fp16", "int8":
		default:
			fault("models."+name+".precision", fmt.Sprintf("%q", section.Precision), "auto, fp32, fp16, int8")
		}
	}
}

// WithoutModels opens none of the section `models`: only the reader's bundle
// predicts.
func WithoutModels() Option { return func(o *openOptions) { o.withoutModels = true } }

// A predictor is what single texts are run through: the model that reads, or
// one of the section `models`.
type predictor struct {
	bundle    *models.Bundle
	service   *infer.Service
	tokenizer models.Tokenizer
	heads     *openHeads
	relevance models.RelevanceHead // nil if the bundle has none
	ref       ModelRef
	notes     []string
}

func (m *loadedModel) predictor() *predictor {
	return &predictor{m.bundle, m.service, m.reader.Tokenizer(), &m.heads, m.relevance, m.ref, m.notes}
}

// A namedModel is an open model of the section `models`.
type namedModel struct {
	predictor
	name    string
	section ModelSection
	since   time.Time
}

// openNamed opens the models of the section. They share the gate of the
// reader's model, if there is one, so that all together keep the cores busy and
// no more.
func (p *Pipeline) openNamed(ctx context.Context, opts openOptions) error {
	for _, name := range slices.Sorted(maps.Keys(p.config.Models)) {
		m, err := p.openOneNamed(ctx, name, opts)
		if err != nil {
			return fmt.Errorf("models.%s: %w", name, err)
		}
		p.named = put(p.named, name, m)
	}
	return nil
}

func (p *Pipeline) openOneNamed(ctx context.Context, name string, opts openOptions) (*namedModel, error) {
	section, registry := p.config.Models[name], p.config.registry
	bundle, err := registry.OpenBundle(section.Bundle)
	if err != nil {
		return nil, err
	}
	kinds := headKinds(bundle)
	if !slices.ContainsFunc(kinds, func(kind string) bool { return slices.Contains(namedHeads, kind) }) {
		return nil, fmt.Errorf("%w: %s has the heads %s; needed is one of %s", models.ErrInvalidBundle, section.Bundle, strings.Join(kinds, ", "), strings.Join(namedHeads, ", "))
	}
	tokenizer, err := registry.OpenTokenizer(bundle)
	if err != nil {
		return nil, err
	}
	model, err := registry.OpenModel(ctx, bundle, ModelOptions{
		Precision: cmp.Or(section.Precision, "auto"), Device: p.config.Reader.Device, Fallback: p.config.Reader.DeviceFallback,
		Library: p.config.Runtime.Library, Logger: opts.logger,
	})
	if err != nil {
		return nil, err
	}
	info := model.Info()
	var service *infer.Service
	if reading := p.slot.peek(); reading != nil {
		service, err = reading.service.Share(model)
	} else {
		service, err = infer.New(model, observeGate(inferConfig(p.config, info.Device), opts.observer))
	}
	if err != nil {
		return nil, errors.Join(err, model.Close())
	}
	m := &namedModel{
		predictor: predictor{
			bundle: bundle, service: service, tokenizer: tokenizer, heads: &openHeads{},
			ref: ModelRef{Name: info.Name, Hash: info.Hash, Precision: info.Precision},
		},
		name: name, section: section, since: time.Now(),
	}
	if info.Device != p.config.Reader.Device {
		m.notes = append(m.notes, onAnotherDevice(p.config.Reader.Device, info.Device))
	}
	err = CheckVocabulary(ctx, bundle, tokenizer, model)
	if err == nil {
		err = CheckLength(ctx, bundle, model, lengthChecked)
	}
	for _, kind := range kinds {
		if err == nil {
			_, err = registry.CheckHead(ctx, bundle, kind, tokenizer, service)
		}
	}
	if _, ok := bundle.Head(models.HeadRelevance); ok && err == nil {
		m.relevance, err = registry.openRelevance(bundle, info)
	}
	if err != nil {
		return nil, errors.Join(err, service.Close())
	}
	return m, nil
}

func onAnotherDevice(wanted, got string) string {
	return fmt.Sprintf("the device %s is not available, so the model runs on %s, which is slower", wanted, got)
}

func (p *Pipeline) closeNamed() error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(p.named)) {
		faults = append(faults, p.named[name].service.Close())
	}
	return errors.Join(faults...)
}

// leasePredictor returns the named model, or the one that reads when the name
// is empty. It stays open until release is called.
func (p *Pipeline) leasePredictor(name string) (on *predictor, release func(), err error) {
	if name == "" {
		m, release, err := p.slot.lease()
		if err != nil {
			return nil, nil, err
		}
		return m.predictor(), release, nil
	}
	m, ok := p.named[name]
	if !ok {
		return nil, nil, fmt.Errorf("%w: model: %q; allowed are the names of the section models of the configuration (%s), or none for the reader's bundle",
			ErrInvalidRequest, name, cmp.Or(names(p.named), "it has none"))
	}
	// Closing waits for what runs; what comes later is told that it is closed.
	return &m.predictor, func() {}, nil
}

// modelsWith names the models of the section that have a head, for messages.
func (p *Pipeline) modelsWith(kind string) string {
	var with []string
	for _, name := range slices.Sorted(maps.Keys(p.named)) {
		if _, ok := p.named[name].bundle.Head(kind); ok {
			with = append(with, name)
		}
	}
	return strings.Join(with, ", ")
}

func (m *namedModel) status() ModelStatus {
	info, manifest := m.service.Info(), m.bundle.Manifest
	return ModelStatus{
		Role: RolePredict, Name: m.name, Bundle: m.section.Bundle, Configured: m.section.Bundle,
		Model: m.ref, Device: info.Device, Runtime: info.Runtime, MaxLength: info.MaxLength,
		Heads: headKinds(m.bundle), Languages: append([]string{}, manifest.Languages...), License: manifest.License, Since: m.since,
	}
}

func headKinds(b *models.Bundle) []string {
	kinds := make([]string, len(b.Manifest.Heads))
	for i, h := range b.Manifest.Heads {
		kinds[i] = h.Kind
	}
	return kinds
}
