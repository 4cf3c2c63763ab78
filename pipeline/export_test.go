package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
)

// TopProbability is what a profile says of the first answer of a question, and
// whether it is right.
func TopProbability(p Profile, o Observation) (float64, bool) {
	features, top, ok := p.top(o)
	if !ok {
		return 0, false
	}
	return p.Answer.probability(features[0], features[1]), top.Correct
}

// CacheHolds reports whether any entry of the caches holds a text.
func CacheHolds(p *Pipeline, text string) bool {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	for _, key := range p.cache.lru.Keys() {
		e, _ := p.cache.lru.Peek(key)
		data, err := json.Marshal(e.value)
		if err != nil || strings.Contains(string(data), text) || e.document == text {
			return true
		}
	}
	return false
}

// CheckCache compares the books of the caches with what is there.
func CheckCache(p *Pipeline) error {
	c := p.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	var bytes int64
	for _, key := range c.lru.Keys() {
		e, _ := c.lru.Peek(key)
		bytes += e.size
	}
	listed := 0
	for _, x := range c.indexes {
		listed += len(x.results)
		for _, keys := range x.texts {
			listed += len(keys)
		}
	}
	if bytes != c.bytes || bytes > c.limit || listed != c.lru.Len() {
		return fmt.Errorf("%d bytes of %d, booked %d; %d entries, %d listed", bytes, c.limit, c.bytes, c.lru.Len(), listed)
	}
	return nil
}

// Registry returns the registry, for tests that add to it later.
func (c *Config) Registry() *Registry { return c.registry }

// OpenIndexes is how many indexes are open.
func OpenIndexes(p *Pipeline) int { return p.pool.openCount() }
