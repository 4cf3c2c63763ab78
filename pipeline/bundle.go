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
		return nil, fmt.Errorf("%w: %s: %w", models.ErrInvalidBundle, bundle.Manifest.Tokenizer, err)
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

// lengthChecked is how long a text is read at most when a bundle is opened, if
// reader.max_seq_length is not greater.
const lengthChecked = 512

// CheckLength makes sure that the model runs texts as long as its bundle says,
// up to a length: a graph with fewer positions would fail at the first long
// text. Errors wrap models.ErrInvalidBundle.
func CheckLength(ctx context.Context, bundle *models.Bundle, model models.LanguageModel, upTo int) error {
	n := min(model.Info().MaxLength, upTo)
	_, err := model.Run(ctx, []models.Encoding{{IDs: make([]int32, n), TypeIDs: make([]int32, n), Sequences: make([]int8, n), Offsets: make([]models.Offset, n)}})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: the graph %s does not run a text of %d tokens, and the greatest length of the bundle is %d (max_length, or max_position_embeddings and model_max_length): %w",
		models.ErrInvalidBundle, bundle.Manifest.Graphs[model.Info().Precision], n, model.Info().MaxLength, err)
}
