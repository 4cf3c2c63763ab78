package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/needle-search/needle/models"
)

// BundleNames returns the names of the registered bundles in order.
func (r *Registry) BundleNames() []string { return slices.Sorted(maps.Keys(r.bundles)) }

// OpenBundle opens a bundle as reader.bundle names it: a registered name, or a
// directory with needle.json or in the Hugging Face layout. Errors wrap
// models.ErrInvalidBundle.
func (r *Registry) OpenBundle(nameOrDirectory string) (*models.Bundle, error) {
	if open, ok := r.bundles[nameOrDirectory]; ok {
		return open()
	}
	info, err := os.Stat(nameOrDirectory)
	if err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: %q is neither a directory nor a known name (%s)",
			models.ErrInvalidBundle, nameOrDirectory, names(r.bundles))
	}
	return models.OpenDirectory(nameOrDirectory)
}

// OpenTokenizer opens the tokenizer of a bundle.
func (r *Registry) OpenTokenizer(bundle *models.Bundle) (models.Tokenizer, error) {
	if r.tokenizer == nil {
		return nil, errors.New("pipeline: the registry has no tokenizer")
	}
	data, err := bundle.ReadFile(bundle.Manifest.Tokenizer)
	if err != nil {
		return nil, err
	}
	tokenizer, err := r.tokenizer(data)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %s: %w", bundle.Manifest.Tokenizer, err)
	}
	return tokenizer, nil
}

// OpenModel opens the language model of a bundle.
func (r *Registry) OpenModel(ctx context.Context, bundle *models.Bundle, options ModelOptions) (models.LanguageModel, error) {
	if r.model == nil {
		return nil, errors.New("pipeline: the registry has no language model")
	}
	return r.model(ctx, bundle, options)
}

// OpenHead opens the head of a kind that a bundle has, for a model whose
// outputs it must be able to read.
func (r *Registry) OpenHead(bundle *models.Bundle, kind string, info models.ModelInfo) (models.Head, error) {
	return r.openHead(bundle, kind, info)
}

// CheckVocabulary makes sure that the model knows every id that the tokenizer
// can give, by running the greatest one. Errors wrap models.ErrInvalidBundle.
func CheckVocabulary(ctx context.Context, bundle *models.Bundle, tokenizer models.Tokenizer, model models.LanguageModel) error {
	greatest := int32(tokenizer.VocabularySize() - 1)
	e, err := tokenizer.Single(models.Tokens{IDs: []int32{greatest}, Offsets: []models.Offset{{}}}, min(8, model.Info().MaxLength))
	if err == nil {
		_, err = model.Run(ctx, []models.Encoding{e})
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %s has ids up to %d, which the graph %s does not run (does the tokenizer belong to the graph?): %w",
		models.ErrInvalidBundle, bundle.Manifest.Tokenizer, greatest, bundle.Manifest.Graphs[model.Info().Precision], err)
}
