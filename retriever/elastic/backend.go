package elastic

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

// Backend keeps the indexes of one server that share a prefix.
type Backend struct {
	config   Config
	analyzer string
	client   *client

	lock   sync.Mutex
	closed bool
	open   map[*Index]struct{} // the indexes that are open in this process
	// renamed says when this process last gave an Elasticsearch index another
	// name.
	renamed map[string]time.Time
}

var _ retriever.Backend = (*Backend)(nil)

// New returns a back end. It reads the environment variables that the
// configuration names, and does not contact the server.
func New(config Config) (*Backend, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("elastic: %w", err)
	}
	analyzer, err := analyzerName(config.Analyzer)
	if err != nil {
		return nil, fmt.Errorf("elastic: %w", err)
	}
	c, err := esclient.New(config.Connection)
	if err != nil {
		return nil, fmt.Errorf("elastic: %w", err)
	}
	return &Backend{config: config, analyzer: analyzer, client: &client{c}, open: map[*Index]struct{}{}, renamed: map[string]time.Time{}}, nil
}

func (b *Backend) fail(operation, name string, err error) error {
	return fmt.Errorf("elastic: %s index %q: %w", operation, name, err)
}

// check reports why a call cannot go on.
func (b *Backend) check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := retriever.ValidStoredName(name); err != nil {
		return err
	}
	return b.alive()
}

func (b *Backend) alive() error {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.closed {
		return retriever.ErrClosed
	}
	return nil
}

func (b *Backend) alias(name string) string { return b.config.IndexPrefix + name }

// concrete is the name of an Elasticsearch index that is made for an index. No
// index name ends like it, so that it is nobody's alias.
func (b *Backend) concrete(name string, number int) string {
	return b.alias(name) + ".v" + strconv.Itoa(number)
}

// writeSuffix ends the alias through which an Elasticsearch index is written.
// The server makes an index that is written to and missing, but no alias.
const writeSuffix = ".write"

// newToken returns a random name.
func newToken() string { return strings.ToLower(rand.Text()) }

// description is what the server says of an index.
type description struct {
	Aliases  map[string]json.RawMessage `json:"aliases"`
	Mappings struct {
		Meta struct {
			Needle *meta `json:"needle"`
		} `json:"_meta"`
	} `json:"mappings"`
	Settings struct {
		Index struct {
			Shards string `json:"number_of_shards"`
		} `json:"index"`
	} `json:"settings"`
}

// describe finds the Elasticsearch index behind an index name. Its errors wrap
// ErrIndexNotFound, ErrCorrupt or ErrVersion.
func (b *Backend) describe(ctx context.Context, name string) (concrete string, m *meta, err error) {
	var found map[string]description
	if err := b.client.do(ctx, request{method: http.MethodGet, path: "/" + b.alias(name) + "?features=aliases,mappings,settings&filter_path=*.aliases,*.mappings._meta,*.settings.index.number_of_shards"}, &found); err != nil {
		return "", nil, err
	}
	if len(found) != 1 {
		return "", nil, fmt.Errorf("%w: the alias %s stands for %d Elasticsearch indexes", retriever.ErrCorrupt, b.alias(name), len(found))
	}
	for concrete, d := range found {
		m := d.Mappings.Meta.Needle
		if _, named := d.Aliases[b.alias(name)]; !named || m == nil || m.Format < 1 || m.Prefix != b.config.IndexPrefix {
			return "", nil, fmt.Errorf("%w: the Elasticsearch index %s is not one that Needle made under this name", retriever.ErrCorrupt, concrete)
		}
		if m.Format > formatVersion {
			return "", nil, fmt.Errorf("%w: %s has format %d, this program reads up to %d; update Needle", retriever.ErrVersion, concrete, m.Format, formatVersion)
		}
		if m.shards, err = strconv.Atoi(d.Settings.Index.Shards); err != nil {
			return "", nil, fmt.Errorf("%w: the server says that %s has %q shards", retriever.ErrCorrupt, concrete, d.Settings.Index.Shards)
		}
		return concrete, m, nil
	}
	return "", nil, retriever.ErrIndexNotFound
}

// Open implements [retriever.Backend].
func (b *Backend) Open(ctx context.Context, name string) (retriever.Index, error) {
	if err := b.check(ctx, name); err != nil {
		return nil, b.fail("open", name, err)
	}
	if its, ok := b.config.Existing[name]; ok {
		x, err := b.openForeign(ctx, name, its)
		if err != nil {
			return nil, b.fail("open", name, err)
		}
		return x, nil
	}
	concrete, m, err := b.describe(ctx, name)
	if err != nil {
		return nil, b.fail("open", name, err)
	}
	x, err := b.openConcrete(ctx, name, concrete, m)
	if err != nil {
		return nil, b.fail("open", name, err)
	}
	return x, nil
}

// outdated says what of the configuration an index was made without. It goes on
// working with what it has, until it is rebuilt.
func (b *Backend) outdated(m *meta) []string {
	c := b.config
	var list []string
	if m.Analyzer != b.analyzer {
		list = append(list, fmt.Sprintf("analyzer: it was built with %q, the configuration says %q", m.Analyzer, c.Analyzer))
	}
	if !slices.Equal(m.StopWords, c.StopWords) {
		list = append(list, "stop_words: it was built with others than the configuration has")
	}
	if m.K1 != c.K1 || m.B != c.B {
		list = append(list, fmt.Sprintf("k1, b: it was built with %v and %v, the configuration says %v and %v", m.K1, m.B, c.K1, c.B))
	}
	return list
}

func (b *Backend) openConcrete(ctx context.Context, name, concrete string, m *meta) (*Index, error) {
	x := &Index{
		named: name, concrete: concrete, meta: *m, outdated: b.outdated(m), config: b.config, client: b.client,
		writer: make(chan struct{}, 1), purged: map[string]bool{},
	}
	if err := x.refreshView(ctx); err != nil {
		return nil, err
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.closed {
		return nil, retriever.ErrClosed
	}
	b.open[x] = struct{}{}
	x.onClose = func() {
		b.lock.Lock()
		defer b.lock.Unlock()
		delete(b.open, x)
	}
	return x, nil
}

// Create implements [retriever.Backend]. The server makes the index and its
// aliases in one step.
func (b *Backend) Create(ctx context.Context, name string) (retriever.Index, error) {
	if err := b.check(ctx, name); err != nil {
		return nil, b.fail("create", name, err)
	}
	x, err := b.create(ctx, name)
	if err != nil {
		return nil, b.fail("create", name, err)
	}
	return x, nil
}

func (b *Backend) create(ctx context.Context, name string) (*Index, error) {
	if its, ok := b.config.Existing[name]; ok {
		return nil, fmt.Errorf("%w: retriever.existing says that it is %s", retriever.ErrIndexExists, its.Index)
	}
	if _, _, err := b.describe(ctx, name); !errors.Is(err, retriever.ErrIndexNotFound) {
		if err == nil {
			err = fmt.Errorf("%w: %s", retriever.ErrIndexExists, b.alias(name))
		}
		return nil, err
	}
	c := b.config
	m := meta{
		Format: formatVersion, Name: name, Prefix: c.IndexPrefix, Analyzer: b.analyzer, StopWords: c.StopWords,
		K1: c.K1, B: c.B, Token: newToken(), shards: c.Shards,
	}
	concrete, err := b.makeConcrete(ctx, name, m)
	if err != nil {
		return nil, err
	}
	x, err := b.openConcrete(ctx, name, concrete, &m)
	if err != nil {
		// The clean-up must happen although the context may have ended.
		undo := b.client.do(context.WithoutCancel(ctx), request{method: http.MethodDelete, path: "/" + concrete}, nil)
		return nil, errors.Join(err, undo)
	}
	return x, nil
}

// makeConcrete makes the Elasticsearch index for an index, which is the first
// number that is free: an index that was given another name keeps its own.
func (b *Backend) makeConcrete(ctx context.Context, name string, m meta) (string, error) {
	for number := 1; ; number++ {
		concrete := b.concrete(name, number)
		body := indexBody(b.config, m, b.alias(name), concrete+writeSuffix)
		err := b.client.do(ctx, request{method: http.MethodPut, path: "/" + concrete, body: body}, nil)
		var e *esclient.Error
		switch {
		case errors.Is(err, retriever.ErrIndexExists):
			found, its, err := b.describe(ctx, name)
			switch {
			case errors.Is(err, retriever.ErrIndexNotFound):
				continue // it has another name by now
			case err != nil:
				return "", err
			case its.Token == m.Token:
				return found, nil // ours; the answer to a first attempt was lost
			}
			return "", fmt.Errorf("%w: %s", retriever.ErrIndexExists, b.alias(name))
		case errors.As(err, &e) && e.Status == http.StatusBadRequest && strings.Contains(e.Reason, "analyzer"):
			return "", explainAnalyzer(err, b.analyzer)
		case err != nil:
			return "", err
		}
		// Another process may have given the name to an index meanwhile.
		if _, _, err := b.describe(ctx, name); err != nil {
			undo := b.client.do(context.WithoutCancel(ctx), request{method: http.MethodDelete, path: "/" + concrete}, nil)
			return "", errors.Join(err, undo)
		}
		return concrete, nil
	}
}

// Names implements [retriever.Backend].
func (b *Backend) Names(ctx context.Context) ([]string, error) {
	names, err := b.names(ctx)
	if err != nil {
		return nil, fmt.Errorf("elastic: list indexes: %w", err)
	}
	return names, nil
}

func (b *Backend) names(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := b.alive(); err != nil {
		return nil, err
	}
	var found map[string]description
	path := "/" + b.config.IndexPrefix + "*?features=aliases,mappings&filter_path=*.aliases,*.mappings._meta"
	if err := b.client.do(ctx, request{method: http.MethodGet, path: path}, &found); err != nil {
		return nil, err
	}
	var names []string
	for _, d := range found {
		if m := d.Mappings.Meta.Needle; m == nil || m.Prefix != b.config.IndexPrefix {
			continue
		}
		for alias := range d.Aliases {
			name, ours := strings.CutPrefix(alias, b.config.IndexPrefix)
			if ours && retriever.ValidIndexName(name) == nil {
				names = append(names, name)
			}
		}
	}
	for name := range b.config.Existing {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Drop implements [retriever.Backend]. An index that this process has open is
// refused with [retriever.ErrLocked]; whether another process has it open is not
// known to the server.
func (b *Backend) Drop(ctx context.Context, name string) error {
	if err := b.check(ctx, name); err != nil {
		return b.fail("drop", name, err)
	}
	err := b.drop(ctx, name)
	if err != nil {
		return b.fail("drop", name, err)
	}
	return nil
}

func (b *Backend) drop(ctx context.Context, name string) error {
	if _, ok := b.config.Existing[name]; ok {
		return retriever.ErrReadOnly
	}
	concrete, _, err := b.describe(ctx, name)
	if err != nil {
		return err
	}
	b.lock.Lock()
	locked := false
	for x := range b.open {
		locked = locked || x.concrete == concrete
	}
	wait := time.Until(b.renamed[concrete].Add(renameGrace))
	delete(b.renamed, concrete)
	b.lock.Unlock()
	if locked {
		return retriever.ErrLocked
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b.client.do(ctx, request{method: http.MethodDelete, path: "/" + concrete}, nil)
}

// Close implements [retriever.Backend].
func (b *Backend) Close() error {
	b.lock.Lock()
	defer b.lock.Unlock()
	if !b.closed {
		b.closed = true
		b.client.Close()
	}
	return nil
}
