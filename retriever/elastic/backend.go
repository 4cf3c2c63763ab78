package elastic

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

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
	open   map[string]int // how often each index is open in this process
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
	return &Backend{config: config, analyzer: analyzer, client: &client{c}, open: map[string]int{}}, nil
}

func (b *Backend) fail(operation, name string, err error) error {
	return fmt.Errorf("elastic: %s index %q: %w", operation, name, err)
}

// check reports why a call cannot go on.
func (b *Backend) check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := retriever.ValidIndexName(name); err != nil {
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

// concrete is the name of an index's first Elasticsearch index. Index names are
// free of dots, so that it is nobody's alias.
func (b *Backend) concrete(name string) string { return b.alias(name) + ".v1" }

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
}

// describe finds the Elasticsearch index behind an index name. Its errors wrap
// ErrIndexNotFound, ErrCorrupt or ErrVersion.
func (b *Backend) describe(ctx context.Context, name string) (concrete string, m *meta, err error) {
	var found map[string]description
	if err := b.client.do(ctx, request{method: http.MethodGet, path: "/" + b.alias(name) + "?features=aliases,mappings"}, &found); err != nil {
		return "", nil, err
	}
	if len(found) != 1 {
		return "", nil, fmt.Errorf("%w: the alias %s stands for %d Elasticsearch indexes", retriever.ErrCorrupt, b.alias(name), len(found))
	}
	for concrete, d := range found {
		m := d.Mappings.Meta.Needle
		if m == nil || m.Format < 1 || m.Name != name || m.Prefix != b.config.IndexPrefix {
			return "", nil, fmt.Errorf("%w: the Elasticsearch index %s is not one that Needle made under this name", retriever.ErrCorrupt, concrete)
		}
		if m.Format > formatVersion {
			return "", nil, fmt.Errorf("%w: %s has format %d, this program reads up to %d; update Needle", retriever.ErrVersion, concrete, m.Format, formatVersion)
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
	concrete, m, err := b.describe(ctx, name)
	if err != nil {
		return nil, b.fail("open", name, err)
	}
	x, err := b.openConcrete(ctx, concrete, m)
	if err != nil {
		return nil, b.fail("open", name, err)
	}
	return x, nil
}

func (b *Backend) openConcrete(ctx context.Context, concrete string, m *meta) (*Index, error) {
	c := b.config
	switch {
	case m.Analyzer != b.analyzer:
		return nil, fmt.Errorf("it was built with analyzer %q, the configuration says %q; set retriever.analyzer to %q, or drop the index and add its documents again", m.Analyzer, c.Analyzer, m.Analyzer)
	case !slices.Equal(m.StopWords, c.StopWords):
		return nil, errors.New("it was built with other stop words than retriever.stop_words; set them back, or drop the index and add its documents again")
	case m.K1 != c.K1 || m.B != c.B:
		return nil, fmt.Errorf("it was built with k1 %v and b %v, the configuration says %v and %v; set retriever.k1 and retriever.b back, or drop the index and add its documents again", m.K1, m.B, c.K1, c.B)
	}
	x := &Index{
		name: m.Name, concrete: concrete, meta: *m, config: c, client: b.client,
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
	b.open[m.Name]++
	x.onClose = func() {
		b.lock.Lock()
		defer b.lock.Unlock()
		if b.open[m.Name]--; b.open[m.Name] == 0 {
			delete(b.open, m.Name)
		}
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
	if _, _, err := b.describe(ctx, name); !errors.Is(err, retriever.ErrIndexNotFound) {
		if err == nil {
			err = fmt.Errorf("%w: %s", retriever.ErrIndexExists, b.alias(name))
		}
		return nil, err
	}
	c := b.config
	m := meta{
		Format: formatVersion, Name: name, Prefix: c.IndexPrefix, Analyzer: b.analyzer, StopWords: c.StopWords,
		K1: c.K1, B: c.B, Token: newToken(),
	}
	concrete := b.concrete(name)
	body := indexBody(c, m, b.alias(name), concrete+writeSuffix)
	err := b.client.do(ctx, request{method: http.MethodPut, path: "/" + concrete, body: body}, nil)
	var e *esclient.Error
	switch {
	case errors.Is(err, retriever.ErrIndexExists):
		// It may be ours, if the answer to a first attempt was lost.
		if _, found, describeErr := b.describe(ctx, name); describeErr != nil || found.Token != m.Token {
			return nil, err
		}
	case errors.As(err, &e) && e.Status == http.StatusBadRequest && strings.Contains(e.Reason, "analyzer"):
		return nil, explainAnalyzer(err, b.analyzer)
	case err != nil:
		return nil, err
	}
	x, err := b.openConcrete(ctx, concrete, &m)
	if err != nil {
		// The clean-up must happen although the context may have ended.
		undo := b.client.do(context.WithoutCancel(ctx), request{method: http.MethodDelete, path: "/" + concrete}, nil)
		return nil, errors.Join(err, undo)
	}
	return x, nil
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
		m := d.Mappings.Meta.Needle
		if m == nil || m.Prefix != b.config.IndexPrefix {
			continue
		}
		if _, named := d.Aliases[b.alias(m.Name)]; named {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Drop implements [retriever.Backend]. An index that this process has open is
// refused with [retriever.ErrLocked]; whether another process has it open is not
// known to the server.
func (b *Backend) Drop(ctx context.Context, name string) error {
	if err := b.check(ctx, name); err != nil {
		return b.fail("drop", name, err)
	}
	b.lock.Lock()
	open := b.open[name] > 0
	b.lock.Unlock()
	if open {
		return b.fail("drop", name, retriever.ErrLocked)
	}
	concrete, _, err := b.describe(ctx, name)
	if err == nil {
		err = b.client.do(ctx, request{method: http.MethodDelete, path: "/" + concrete}, nil)
	}
	if err != nil {
		return b.fail("drop", name, err)
	}
	return nil
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
