package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

func ignoreAbsent(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Sources returns what was kept of the sources of an index, nil if nothing
// was. What it means is the pipeline's business.
func (s *Store) Sources(ctx context.Context, index string) (json.RawMessage, error) {
	var data json.RawMessage
	_, err := s.get(ctx, kindSource, index, &data)
	if err = ignoreAbsent(err); err != nil {
		return nil, fmt.Errorf("store: sources: %w", err)
	}
	return data, nil
}

// PutSources keeps what is known of the sources of an index.
func (s *Store) PutSources(ctx context.Context, index string, data json.RawMessage) error {
	if _, err := s.put(ctx, kindSource, index, data, time.Time{}, Condition{}); err != nil {
		return fmt.Errorf("store: sources: %w", err)
	}
	return nil
}
