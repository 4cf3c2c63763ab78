package monitor

import (
	"context"
	"errors"
	"slices"
)

// Add makes questions canaries of an index beside those that are there. One with
// the id or the question of a canary takes its place. All are asked once, and
// that run is the new reference; the greatest drop stays. Errors are those of
// [Canaries.Set].
func (c *Canaries) Add(ctx context.Context, asker Asker, index string, added []Canary) (CanarySet, error) {
	set, err := c.Get(index)
	if err != nil && !errors.Is(err, ErrNoCanaries) {
		return set, err
	}
	list := slices.DeleteFunc(set.Canaries, func(old Canary) bool {
		return slices.ContainsFunc(added, func(q Canary) bool { return q.ID == old.ID || q.Question == old.Question })
	})
	return c.Set(ctx, asker, index, append(list, added...), set.MaxDrop)
}
