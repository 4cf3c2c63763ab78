package pipeline

import (
	"bytes"
	"fmt"

	"github.com/goccy/go-yaml"

	"github.com/needle-search/needle/retriever"
)

// ParseFilter decodes a filter from YAML or JSON, strictly. Errors wrap
// [retriever.ErrInvalidFilter].
func ParseFilter(data []byte) (*retriever.Filter, error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' {
		// Nearly all of them: the errors for JSON are the better ones, and numbers
		// come out the same as over HTTP.
		f, err := retriever.ParseFilter(data)
		if err == nil {
			return f, nil
		}
		if f, yamlErr := parseYAMLFilter(data); yamlErr == nil {
			return f, nil
		}
		return nil, err
	}
	return parseYAMLFilter(data)
}

func parseYAMLFilter(data []byte) (*retriever.Filter, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict(), yaml.DisallowUnknownField())
	var f retriever.Filter
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", retriever.ErrInvalidFilter, syntaxError(err))
	}
	var more any
	if err := decoder.Decode(&more); err == nil {
		return nil, fmt.Errorf("%w: text after the filter", retriever.ErrInvalidFilter)
	}
	return &f, nil
}
