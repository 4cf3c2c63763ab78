package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// guarded is the service as one caller sees it. Handlers use nothing else, so
// that what a caller may not see or do is decided in this file, whatever route
// it came by.
type guarded struct {
	server *Server
	who    auth.Identity
}

var _ pipeline.Service = guarded{}

// view returns the service for the caller of a request.
func (s *Server) view(c *gin.Context) guarded { return guarded{s, identity(c)} }

func (g guarded) may(index string, roles ...auth.Role) error {
	return g.server.may(g.who, index, roles...)
}

func (g guarded) access(index string, narrow []string) pipeline.Access {
	return access(g.who, g.server.indexOf(index), narrow)
}

func (g guarded) seesAll(index string) bool { return g.who.SeesAll(g.server.indexOf(index)) }

func (g guarded) sees(index string, groups []string) bool {
	return g.who.SeesGroups(g.server.indexOf(index), groups)
}

// hiddenTerms is the warning in place of the terms of an explanation: they
// count documents that the caller may not see.
const hiddenTerms = "explain: the terms are left out, because their counts include documents that this key may not see"

func hideTerms(candidates []pipeline.Candidate) []pipeline.Candidate {
	bare := make([]pipeline.Candidate, len(candidates))
	for i, c := range candidates {
		c.Terms = nil
		bare[i] = c
	}
	return bare
}

func (g guarded) Ask(ctx context.Context, r pipeline.Request) (*pipeline.Result, error) {
	if err := g.may(r.Index, auth.Search); err != nil {
		return nil, err
	}
	r.Access, r.Groups = g.access(r.Index, r.Groups), nil
	if tell := r.Progress; tell != nil && !r.Access.AllGroups {
		r.Progress = func(p pipeline.Progress) {
			p.Candidates = hideTerms(p.Candidates)
			tell(p)
		}
	}
	result, err := g.server.service.Ask(ctx, r)
	if err != nil || r.Access.AllGroups || len(result.Candidates) == 0 {
		return result, err
	}
	// The result may be shared, so it is copied.
	copied := *result
	copied.Candidates = hideTerms(result.Candidates)
	copied.Warnings = append(append([]string{}, result.Warnings...), hiddenTerms)
	return &copied, nil
}

func (g guarded) Search(ctx context.Context, r pipeline.SearchRequest) (*pipeline.SearchResult, error) {
	if err := g.may(r.Index, auth.Search); err != nil {
		return nil, err
	}
	r.Access, r.Groups = g.access(r.Index, r.Groups), nil
	result, err := g.server.service.Search(ctx, r)
	if err != nil || r.Access.AllGroups || !r.Explain {
		return result, err
	}
	copied := *result
	copied.Hits = hideTerms(result.Hits)
	copied.Warnings = append(append([]string{}, result.Warnings...), hiddenTerms)
	return &copied, nil
}

func (g guarded) Read(ctx context.Context, r pipeline.ReadRequest) (*pipeline.Result, error) {
	if !g.who.Grants.MayAny(auth.Search) {
		return nil, forbidden([]auth.Role{auth.Search}, "any index")
	}
	return g.server.service.Read(ctx, r)
}

func (g guarded) Rerank(ctx context.Context, r pipeline.RerankRequest) (*pipeline.RerankResult, error) {
	if !g.who.Grants.MayAny(auth.Search) {
		return nil, forbidden([]auth.Role{auth.Search}, "any index")
	}
	return g.server.service.Rerank(ctx, r)
}

// restrict takes the counts out of statistics whose documents are not all
// visible.
func (g guarded) restrict(s retriever.Statistics) retriever.Statistics {
	if g.seesAll(s.Name) {
		return s
	}
	s.Documents, s.Passages, s.Bytes, s.AverageLength, s.Vectors, s.Restricted = 0, 0, 0, 0, nil, true
	return s
}

func (g guarded) Indexes(ctx context.Context) ([]retriever.Statistics, error) {
	all, err := g.server.service.Indexes(ctx)
	if err != nil {
		return nil, err
	}
	visible := make([]retriever.Statistics, 0, len(all))
	for _, s := range all {
		if g.who.Grants.Sees(s.Name) {
			visible = append(visible, g.restrict(s))
		}
	}
	return visible, nil
}

func (g guarded) CreateIndex(ctx context.Context, index string) error {
	if err := g.may(index, auth.Admin); err != nil {
		return err
	}
	return g.server.service.CreateIndex(ctx, index)
}

func (g guarded) DropIndex(ctx context.Context, index string) error {
	if err := g.may(index, auth.Admin); err != nil {
		return err
	}
	return g.server.service.DropIndex(ctx, index)
}

func (g guarded) Stats(ctx context.Context, index string) (retriever.Statistics, error) {
	if err := g.may(index, auth.Search, auth.Write); err != nil {
		return retriever.Statistics{}, err
	}
	stats, err := g.server.service.Stats(ctx, index)
	if err != nil {
		return retriever.Statistics{}, err
	}
	return g.restrict(stats), nil
}

func absent(id string) error { return fmt.Errorf("%w: %q", retriever.ErrDocumentNotFound, id) }

// visible returns a document, or says in the same words that it is not there
// and that the caller may not see it.
func (g guarded) visible(ctx context.Context, index, id string) (retriever.Document, error) {
	d, err := g.server.service.Document(ctx, index, id)
	if errors.Is(err, retriever.ErrDocumentNotFound) || err == nil && !g.sees(index, d.Groups) {
		return retriever.Document{}, absent(id)
	}
	return d, err
}

func (g guarded) Document(ctx context.Context, index, id string) (retriever.Document, error) {
	if err := g.may(index, auth.Search); err != nil {
		return retriever.Document{}, err
	}
	return g.visible(ctx, index, id)
}

func (g guarded) List(ctx context.Context, index, after string, limit int) ([]retriever.DocumentInfo, error) {
	if err := g.may(index, auth.Search); err != nil {
		return nil, err
	}
	if g.seesAll(index) {
		return g.server.service.List(ctx, index, after, limit)
	}
	var list []retriever.DocumentInfo
	for {
		page, err := g.server.service.List(ctx, index, after, limit)
		if err != nil {
			return nil, err
		}
		for _, info := range page {
			after = info.ID
			if g.sees(index, info.Groups) {
				list = append(list, info)
				if len(list) == limit {
					return list, nil
				}
			}
		}
		if len(page) < limit {
			return list, nil
		}
	}
}

// Put lets a caller that does not see everything write only what it would see
// itself, and replace only what it sees: else it could hide a document from
// those who may read it.
func (g guarded) Put(ctx context.Context, index string, documents []retriever.Document) ([]pipeline.PutResult, error) {
	if err := g.may(index, auth.Write); err != nil {
		return nil, err
	}
	defer g.server.locks.shared(g.server.indexOf(index), documents)()
	return g.put(ctx, index, documents)
}

// put is Put for a caller that may write and holds the documents' locks.
func (g guarded) put(ctx context.Context, index string, documents []retriever.Document) ([]pipeline.PutResult, error) {
	if g.seesAll(index) {
		return g.server.service.Put(ctx, index, documents)
	}
	var refused []error
	allowed := make([]retriever.Document, 0, len(documents))
	positions := make([]int, 0, len(documents))
	for i, d := range documents {
		err := g.writable(ctx, index, d.ID, d.Groups)
		if err != nil && !errors.Is(err, auth.ErrForbidden) {
			return nil, err
		}
		if err != nil {
			refused = append(refused, &pipeline.DocumentError{Position: i, ID: d.ID, Err: err})
			continue
		}
		allowed, positions = append(allowed, d), append(positions, i)
	}
	if len(allowed) == 0 {
		return nil, errors.Join(refused...)
	}
	results, err := g.server.service.Put(ctx, index, allowed)
	others, rest := documentErrors(err)
	for _, e := range others {
		moved := *e
		if moved.Position >= 0 && moved.Position < len(positions) {
			moved.Position = positions[moved.Position]
		}
		refused = append(refused, &moved)
	}
	return results, errors.Join(append(refused, rest)...)
}

// writable reports why a document of these groups may not take the place of
// what is stored.
func (g guarded) writable(ctx context.Context, index, id string, groups []string) error {
	if !g.sees(index, groups) {
		return fmt.Errorf("%w: document %q is for groups that the key does not have", auth.ErrForbidden, clip(id))
	}
	stored, err := g.server.service.Document(ctx, index, id)
	switch {
	case errors.Is(err, retriever.ErrDocumentNotFound), errors.Is(err, retriever.ErrIndexNotFound):
		return nil
	case err != nil:
		return err
	case !g.sees(index, stored.Groups):
		return fmt.Errorf("%w: the id %q is taken", auth.ErrForbidden, clip(id))
	}
	return nil
}

// Delete removes what the caller sees; all else is not there for it.
func (g guarded) Delete(ctx context.Context, index string, ids []string) (int, error) {
	if err := g.may(index, auth.Write); err != nil {
		return 0, err
	}
	defer g.server.locks.sharedIDs(g.server.indexOf(index), ids)()
	return g.delete(ctx, index, ids)
}

// delete is Delete for a caller that may write and holds the documents' locks.
func (g guarded) delete(ctx context.Context, index string, ids []string) (int, error) {
	if !g.seesAll(index) {
		visible := make([]string, 0, len(ids))
		for _, id := range ids {
			_, err := g.visible(ctx, index, id)
			if errors.Is(err, retriever.ErrDocumentNotFound) {
				continue
			}
			if err != nil {
				return 0, err
			}
			visible = append(visible, id)
		}
		if ids = visible; len(ids) == 0 {
			// Whether the index is there is asked all the same.
			_, err := g.server.service.Stats(ctx, index)
			return 0, err
		}
	}
	return g.server.service.Delete(ctx, index, ids)
}

func (g guarded) Ready(ctx context.Context) error { return g.server.service.Ready(ctx) }
