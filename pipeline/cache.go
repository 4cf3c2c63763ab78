package pipeline

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/needle-search/needle/retriever"
)

// The caches, as statistics name them.
const (
	cacheAnswers    = "answers"
	cacheCandidates = "candidates"
	cacheTokens     = "tokens"
)

// CacheStats is the state of one cache.
type CacheStats struct {
	Name string `json:"name"`
	// Hits and Misses count lookups, Evictions the entries that made room for
	// others, since the start.
	Hits      uint64 `json:"hits"`
	Misses    uint64 `json:"misses"`
	Evictions uint64 `json:"evictions"`
	Entries   int    `json:"entries"`
	// Bytes is an estimate of the memory that the entries take. Limit is what
	// all caches may take together.
	Bytes int64 `json:"bytes"`
	Limit int64 `json:"limit"`
}

// A cache remembers what was computed from indexes. The least recently used
// entry of any kind makes room for a new one, so that the memory goes where it
// is of use. A nil cache remembers nothing.
//
// Nothing stale comes out of it, for these reasons. An entry belongs to one
// open index and one generation of it, or, if it depends on a text only, to a
// key that holds the hash of the text. A caller looks up the generation that it
// has just read from the index. Each index has a floor: the least generation
// that may be served or stored. Whoever has seen a generation raises the floor
// to it, so that nobody goes back behind another's answer; every write raises
// it before it is acknowledged, which also drops the entries below, and with
// them all text of documents that are gone. A computation that was under way
// meanwhile comes too late to be stored.
type cache struct {
	mu      sync.Mutex
	limit   int64
	bytes   int64
	lru     *simplelru.LRU[string, *cacheEntry]
	indexes map[retriever.Index]*indexEntries
	nextID  uint64
	kinds   map[string]*CacheStats
	// evicting tells making room from dropping.
	evicting bool
}

type cacheEntry struct {
	kind       string
	index      *indexEntries
	document   string // for tokens
	generation uint64
	size       int64
	value      any
}

// indexEntries are the entries of one open index.
type indexEntries struct {
	id    uint64
	floor uint64
	// results are the keys of what belongs to a generation, texts those of what
	// belongs to a document.
	results map[string]struct{}
	texts   map[string]map[string]struct{}
}

// entryOverhead is about what the bookkeeping of an entry takes.
const entryOverhead = 400

func newCache(limit int64) *cache {
	if limit <= 0 {
		return nil
	}
	c := &cache{limit: limit, indexes: make(map[retriever.Index]*indexEntries), kinds: make(map[string]*CacheStats)}
	for _, kind := range []string{cacheAnswers, cacheCandidates, cacheTokens} {
		c.kinds[kind] = &CacheStats{Name: kind}
	}
	// The size in entries never binds; it only has to be positive. The error is
	// about sizes that are not.
	c.lru, _ = simplelru.NewLRU(1<<40, c.evicted)
	return c
}

// evicted keeps the books when an entry leaves.
func (c *cache) evicted(key string, e *cacheEntry) {
	c.bytes -= e.size
	stats := c.kinds[e.kind]
	stats.Bytes -= e.size
	stats.Entries--
	if c.evicting {
		stats.Evictions++
	}
	if e.kind != cacheTokens {
		delete(e.index.results, key)
		return
	}
	if keys := e.index.texts[e.document]; keys != nil {
		delete(keys, key)
		if len(keys) == 0 {
			delete(e.index.texts, e.document)
		}
	}
}

// open makes an index known that was just opened. Of an index that is not known,
// or not any more, nothing is stored.
func (c *cache) open(index retriever.Index) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextID++
	c.indexes[index] = &indexEntries{id: c.nextID, results: make(map[string]struct{}), texts: make(map[string]map[string]struct{})}
}

// get looks up what was computed from a generation of an index.
func (c *cache) get(kind string, index retriever.Index, generation uint64, key cacheKey) (any, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if x, ok := c.indexes[index]; ok {
		c.raise(x, generation)
		if generation == x.floor {
			if e, ok := c.lru.Get(key.in(kind, x.id, generation)); ok {
				c.kinds[kind].Hits++
				return e.value, true
			}
		}
	}
	c.kinds[kind].Misses++
	return nil, false
}

// put stores what was computed from a generation of an index. The value must
// not be changed any more.
func (c *cache) put(kind string, index retriever.Index, generation uint64, key cacheKey, value any, size int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.indexes[index]
	if !ok {
		return
	}
	c.raise(x, generation)
	if generation < x.floor {
		return
	}
	k := key.in(kind, x.id, generation)
	if c.add(k, &cacheEntry{kind: kind, index: x, generation: generation, size: size + int64(len(k)) + entryOverhead, value: value}) {
		x.results[k] = struct{}{}
	}
}

// text looks up what depends on a text only. The text belongs to a document of
// the index, with which it is forgotten.
func (c *cache) text(index retriever.Index, key cacheKey) (any, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if x, ok := c.indexes[index]; ok {
		if e, ok := c.lru.Get(key.in(cacheTokens, x.id, 0)); ok {
			c.kinds[cacheTokens].Hits++
			return e.value, true
		}
	}
	c.kinds[cacheTokens].Misses++
	return nil, false
}

// putText stores what depends on a text only, which stood in a document of the
// generation.
func (c *cache) putText(index retriever.Index, generation uint64, document string, key cacheKey, value any, size int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.indexes[index]
	if !ok || generation < x.floor {
		return // the document may be gone
	}
	k := key.in(cacheTokens, x.id, 0)
	if c.add(k, &cacheEntry{kind: cacheTokens, index: x, document: document, size: size + int64(len(k)) + entryOverhead, value: value}) {
		if x.texts[document] == nil {
			x.texts[document] = make(map[string]struct{})
		}
		x.texts[document][k] = struct{}{}
	}
}

// add makes room and stores; it reports whether it did.
func (c *cache) add(key string, e *cacheEntry) bool {
	if e.size > c.limit/8 {
		return false // one entry must not drive out all others
	}
	if c.lru.Contains(key) {
		return false // others computed the same meanwhile
	}
	c.evicting = true
	for c.bytes+e.size > c.limit {
		if _, _, ok := c.lru.RemoveOldest(); !ok {
			break
		}
	}
	c.evicting = false
	c.lru.Add(key, e)
	c.bytes += e.size
	stats := c.kinds[e.kind]
	stats.Bytes += e.size
	stats.Entries++
	return true
}

// raise lifts the floor of an index and drops what is below.
func (c *cache) raise(x *indexEntries, floor uint64) {
	if floor <= x.floor {
		return
	}
	x.floor = floor
	for key := range x.results {
		c.lru.Remove(key)
	}
}

// wrote must be called after every write, before it is acknowledged, with the
// documents that it may have changed. After a write that failed it cannot be
// known what readers saw, so nothing is stored until the next one succeeds.
func (c *cache) wrote(index retriever.Index, documents []string, err error) {
	if c == nil {
		return
	}
	floor := index.Generation()
	if err != nil {
		floor++
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.indexes[index]
	if !ok {
		return
	}
	c.raise(x, floor)
	for _, id := range documents {
		for key := range x.texts[id] {
			c.lru.Remove(key)
		}
	}
}

// drop forgets an index that is about to be closed.
func (c *cache) drop(index retriever.Index) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.indexes[index]
	if !ok {
		return
	}
	delete(c.indexes, index)
	for key := range x.results {
		c.lru.Remove(key)
	}
	for _, keys := range x.texts {
		for key := range keys {
			c.lru.Remove(key)
		}
	}
}

// resize changes how much memory the entries may take; not below 1.
func (c *cache) resize(limit int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = max(limit, 1)
	c.evicting = true
	for c.bytes > c.limit {
		if _, _, ok := c.lru.RemoveOldest(); !ok {
			break
		}
	}
	c.evicting = false
}

// CacheStats returns the state of each cache; none if limits.cache_bytes is 0.
func (p *Pipeline) CacheStats() []CacheStats {
	c := p.cache
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]CacheStats, 0, len(c.kinds))
	for _, kind := range []string{cacheAnswers, cacheCandidates, cacheTokens} {
		stats := *c.kinds[kind]
		stats.Limit = c.limit
		all = append(all, stats)
	}
	return all
}
