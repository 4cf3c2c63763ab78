package elastic

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

var _ retriever.VectorStore = (*Index)(nil)

// vectorPrefix starts the names of the fields that hold vectors: one for each
// model, in the passage's own document. A passage never changes, its document is
// only ever removed, so its vector is right for as long as it is there.
const vectorPrefix = "vector_"

// vectorField is the field of a model, whose name may be anything.
func vectorField(model string) string {
	sum := sha256.Sum256([]byte(model))
	return vectorPrefix + hex.EncodeToString(sum[:8])
}

// withoutVectors leaves the vectors out of what is fetched.
func withoutVectors() object { return object{"excludes": []string{vectorPrefix + "*"}} }

func hasVector(model string) object { return object{"exists": object{"field": vectorField(model)}} }

// encodeVector writes a vector as the server wants bytes.
func encodeVector(vector []int8) string {
	bytes := make([]byte, len(vector))
	for i, v := range vector {
		bytes[i] = byte(v)
	}
	return hex.EncodeToString(bytes)
}

func decodeVector(text string) ([]int8, error) {
	bytes, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: a vector: %w", retriever.ErrCorrupt, err)
	}
	vector := make([]int8, len(bytes))
	for i, b := range bytes {
		vector[i] = int8(b)
	}
	return vector, nil
}

// The mapping holds the name of a model in parts: the server allows five texts of
// 50 characters beside a field.
const (
	metaParts = 5
	metaRunes = 50
)

func modelMeta(model string) (map[string]string, error) {
	meta := map[string]string{}
	for part := range slices.Chunk([]rune(model), metaRunes) {
		meta["model_"+strconv.Itoa(len(meta))] = string(part)
	}
	if len(meta) > metaParts {
		return nil, fmt.Errorf("%w: the name of the model is longer than %d characters", retriever.ErrInvalidVector, metaParts*metaRunes)
	}
	return meta, nil
}

func modelOf(meta map[string]string) string {
	model := ""
	for i := range metaParts {
		model += meta["model_"+strconv.Itoa(i)]
	}
	return model
}

// dimensions returns those of every model that the index has had vectors of.
func (x *Index) dimensions(ctx context.Context) (map[string]int, error) {
	var answer map[string]struct {
		Mappings map[string]struct {
			Mapping map[string]struct {
				Dimensions int               `json:"dims"`
				Meta       map[string]string `json:"meta"`
			} `json:"mapping"`
		} `json:"mappings"`
	}
	path := "/" + x.concrete + "/_mapping/field/" + vectorPrefix + "*"
	if err := x.client.do(ctx, request{method: http.MethodGet, path: path}, &answer); err != nil {
		return nil, err
	}
	models := map[string]int{}
	for name, field := range answer[x.concrete].Mappings {
		if its, ok := field.Mapping[name]; ok {
			models[modelOf(its.Meta)] = its.Dimensions
		}
	}
	x.vectorLock.Lock()
	defer x.vectorLock.Unlock()
	x.models = models
	return maps.Clone(models), nil
}

// dimensionsOf returns those of a model, 0 if the index has none of it.
func (x *Index) dimensionsOf(ctx context.Context, model string) (int, error) {
	x.vectorLock.Lock()
	known := x.models[model]
	x.vectorLock.Unlock()
	if known != 0 {
		return known, nil // which never changes
	}
	models, err := x.dimensions(ctx)
	return models[model], err
}

// MissingVectors implements [retriever.VectorStore].
func (x *Index) MissingVectors(ctx context.Context, model string, limit int) ([]retriever.Hit, error) {
	var hits []retriever.Hit
	err := x.withView(ctx, func(v *view) error {
		if limit <= 0 {
			return nil
		}
		lacking := object{"bool": object{"must_not": []any{hasVector(model)}}}
		list, err := x.page(ctx, page{
			query: v.query(term(fieldKind, kindPassage), lacking), size: min(limit, pageSize),
			sort: []any{object{fieldDocument: "asc"}, object{fieldOrdinal: "asc"}},
		})
		if err != nil {
			return err
		}
		for i := range list {
			hit, err := list[i].passage()
			if err != nil {
				return err
			}
			hit.Scores = retriever.Scores{}
			hits = append(hits, hit)
		}
		return nil
	})
	if err != nil {
		return nil, x.fail("read from", err)
	}
	return hits, nil
}

// PutVectors implements [retriever.VectorStore].
func (x *Index) PutVectors(ctx context.Context, model string, passages []retriever.Hit, vectors [][]int8) error {
	end, err := x.begin(ctx)
	if err != nil {
		return x.fail("write to", err)
	}
	defer end()
	if err := x.putVectors(ctx, model, passages, vectors); err != nil {
		return x.fail("write to", err)
	}
	return nil
}

func (x *Index) putVectors(ctx context.Context, model string, passages []retriever.Hit, vectors [][]int8) error {
	if len(passages) != len(vectors) {
		return fmt.Errorf("%w: there are %d for %d passages", retriever.ErrInvalidVector, len(vectors), len(passages))
	}
	if len(passages) == 0 {
		return nil
	}
	known, err := x.dimensionsOf(ctx, model)
	if err != nil {
		return err
	}
	dimensions := known
	if known == 0 {
		dimensions = len(vectors[0])
	}
	for _, vector := range vectors {
		if err := retriever.CheckVector(vector, dimensions); err != nil {
			return err
		}
	}
	if known == 0 {
		if err := x.mapVectors(ctx, model, dimensions); err != nil {
			return err
		}
	}
	field := vectorField(model)
	b := bulk{index: x, fault: func(_ int, refusal error) { err = refusal }}
	for i, p := range passages {
		if p.Ref == "" {
			continue
		}
		source, encodeErr := json.Marshal(object{"doc": object{field: encodeVector(vectors[i])}})
		if encodeErr != nil {
			return encodeErr
		}
		if err := b.add(ctx, action{verb: verbUpdate, id: p.Ref, source: source}); err != nil {
			return err
		}
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return x.refresh(ctx)
}

// mapVectors makes the field of a model.
func (x *Index) mapVectors(ctx context.Context, model string, dimensions int) error {
	meta, err := modelMeta(model)
	if err != nil {
		return err
	}
	body := object{"properties": object{vectorField(model): object{
		"type": "dense_vector", "dims": dimensions, "element_type": "byte", "index": true, "similarity": "cosine",
		"meta": meta,
	}}}
	err = x.client.do(ctx, request{method: http.MethodPut, path: "/" + x.concrete + "/_mapping", body: body}, nil)
	if esclient.Status(err) == http.StatusBadRequest {
		// Another process may have made it for vectors of another length.
		if models, readErr := x.dimensions(ctx); readErr == nil && models[model] != 0 && models[model] != dimensions {
			return fmt.Errorf("%w: it has %d dimensions, those of the model have %d", retriever.ErrInvalidVector, dimensions, models[model])
		}
	}
	return err
}

// Vectors implements [retriever.VectorStore].
func (x *Index) Vectors(ctx context.Context, model string, hits []retriever.Hit) ([][]int8, error) {
	end, err := x.begin(ctx)
	if err != nil {
		return nil, x.fail("read from", err)
	}
	defer end()
	vectors := make([][]int8, len(hits))
	at := 0
	for part := range slices.Chunk(hits, scanSize) {
		if err := x.vectors(ctx, model, part, vectors[at:at+len(part)]); err != nil {
			return nil, x.fail("read from", err)
		}
		at += len(part)
	}
	return vectors, nil
}

func (x *Index) vectors(ctx context.Context, model string, hits []retriever.Hit, into [][]int8) error {
	var ids []string
	var places []int
	for i, h := range hits {
		if h.Ref != "" {
			ids, places = append(ids, h.Ref), append(places, i)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var answer struct {
		Docs []struct {
			Source map[string]string `json:"_source"`
		} `json:"docs"`
	}
	field := vectorField(model)
	path := "/" + x.concrete + "/_mget?realtime=false&filter_path=docs._id,docs._source&_source_includes=" + field
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: object{"ids": ids}}, &answer); err != nil {
		return err
	}
	if len(answer.Docs) != len(ids) {
		return fmt.Errorf("the server answered %d of %d questions for vectors", len(answer.Docs), len(ids))
	}
	for i, d := range answer.Docs {
		text := d.Source[field]
		if text == "" {
			continue
		}
		vector, err := decodeVector(text)
		if err != nil {
			return err
		}
		into[places[i]] = vector
	}
	return nil
}

// VectorCoverage implements [retriever.VectorStore].
func (x *Index) VectorCoverage(ctx context.Context, model string) (retriever.VectorCoverage, error) {
	var c retriever.VectorCoverage
	err := x.withView(ctx, func(v *view) (err error) {
		c, err = x.coverage(ctx, v, model)
		return err
	})
	if err != nil {
		return retriever.VectorCoverage{}, x.fail("read from", err)
	}
	return c, nil
}

func (x *Index) coverage(ctx context.Context, v *view, model string) (retriever.VectorCoverage, error) {
	var answer struct {
		Hits struct {
			Total struct {
				Value uint64 `json:"value"`
			} `json:"total"`
		} `json:"hits"`
		Aggregations struct {
			Vectors struct {
				Count uint64 `json:"doc_count"`
			} `json:"vectors"`
		} `json:"aggregations"`
	}
	body := object{
		"size": 0, "query": v.query(term(fieldKind, kindPassage)), "track_total_hits": true,
		"aggs": object{"vectors": object{"filter": hasVector(model)}},
	}
	path := "/" + x.concrete + "/_search?allow_partial_search_results=false"
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: body}, &answer); err != nil {
		return retriever.VectorCoverage{}, err
	}
	return retriever.VectorCoverage{Passages: answer.Hits.Total.Value, Vectors: answer.Aggregations.Vectors.Count}, nil
}

// vectorStatistics returns the coverage of every model of which there are
// vectors.
func (x *Index) vectorStatistics(ctx context.Context, v *view) ([]retriever.VectorStatistics, error) {
	models, err := x.dimensions(ctx)
	if err != nil {
		return nil, err
	}
	var list []retriever.VectorStatistics
	for _, model := range slices.Sorted(maps.Keys(models)) {
		c, err := x.coverage(ctx, v, model)
		if err != nil {
			return nil, err
		}
		if c.Vectors > 0 {
			list = append(list, retriever.VectorStatistics{Model: model, VectorCoverage: c})
		}
	}
	return list, nil
}

// DropVectors implements [retriever.VectorStore]. The server writes every
// passage anew for it, without the vectors.
func (x *Index) DropVectors(ctx context.Context, keep string) (bool, error) {
	end, err := x.begin(ctx)
	if err != nil {
		return false, x.fail("write to", err)
	}
	defer end()
	models, err := x.dimensions(ctx)
	if err != nil {
		return false, x.fail("write to", err)
	}
	dropped := false
	for _, model := range slices.Sorted(maps.Keys(models)) {
		if model == keep {
			continue
		}
		some, err := x.dropVectors(ctx, model)
		if err != nil {
			return false, x.fail("write to", err)
		}
		dropped = dropped || some
	}
	return dropped, nil
}

func (x *Index) dropVectors(ctx context.Context, model string) (dropped bool, err error) {
	source, err := json.Marshal(object{"doc": object{vectorField(model): nil}})
	if err != nil {
		return false, err
	}
	b := bulk{index: x, fault: func(_ int, refusal error) { err = refusal }}
	for f, scanErr := range x.scan(ctx, object{"bool": object{"filter": []any{hasVector(model)}}}, "") {
		if scanErr != nil {
			return false, scanErr
		}
		if err := b.add(ctx, action{verb: verbUpdate, id: f.ID, source: source}); err != nil {
			return false, err
		}
		dropped = true
	}
	if flushErr := b.flush(ctx); flushErr != nil {
		return false, flushErr
	}
	if err != nil || !dropped {
		return false, err
	}
	return true, x.refresh(ctx)
}
