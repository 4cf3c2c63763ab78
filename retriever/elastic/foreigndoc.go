package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/retriever"
)

// foreignHit is a document of an existing index, with the values of its fields
// as lists.
type foreignHit struct {
	ID     string                       `json:"_id"`
	Score  float64                      `json:"_score"`
	Fields map[string][]json.RawMessage `json:"fields"`
	Sort   []json.RawMessage            `json:"sort"`
}

// foreignDate is how dates are asked for and compared.
const foreignDate = "strict_date_optional_time_nanos"

// fetch completes a search by what is to be fetched and sends it.
func (x *foreign) fetch(ctx context.Context, body object) ([]foreignHit, error) {
	var fields []any
	for _, f := range x.its.fields() {
		switch {
		case f.name == "":
		case x.types[f.metadata] == retriever.Date:
			fields = append(fields, object{"field": f.name, "format": foreignDate})
		default:
			fields = append(fields, object{"field": f.name})
		}
	}
	body["_source"], body["fields"], body["track_total_hits"] = false, fields, false
	var answer struct {
		TimedOut bool `json:"timed_out"`
		Hits     struct {
			Hits []foreignHit `json:"hits"`
		} `json:"hits"`
	}
	path := "/" + x.its.Index + "/_search?allow_partial_search_results=false"
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: body}, &answer); err != nil {
		return nil, err
	}
	if answer.TimedOut {
		return nil, fmt.Errorf("%w: the search timed out on the server", ErrUnavailable)
	}
	return answer.Hits.Hits, nil
}

// texts returns the values of a field as text.
func (h *foreignHit) texts(field string) []string {
	var list []string
	for _, raw := range h.Fields[field] {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = string(raw) // a number or a boolean
		}
		list = append(list, strings.ReplaceAll(s, "\x00", "\uFFFD"))
	}
	return list
}

// document makes a document of Needle of what was found. Several values of the
// text become one, with an empty line between them.
func (x *foreign) document(h *foreignHit) (retriever.Document, error) {
	d := retriever.Document{ID: h.ID, Text: strings.Join(h.texts(x.its.Text), "\n\n"), Title: strings.Join(h.texts(x.its.Title), " ")}
	if x.its.ID != "" {
		ids := h.texts(x.its.ID)
		if len(ids) != 1 || ids[0] == "" {
			return d, fmt.Errorf("%w: the document %s has %d values in %s, which retriever.existing.%s.id names", retriever.ErrCorrupt, h.ID, len(ids), x.its.ID, x.named)
		}
		d.ID = ids[0]
	}
	if uris := h.texts(x.its.URI); len(uris) > 0 {
		d.Source.URI = uris[0]
	}
	d.Groups = h.texts(x.its.Groups)
	for key, field := range x.its.Metadata {
		if v := foreignValue(x.types[key], h.Fields[field], h.texts(field)); v != nil {
			if d.Metadata == nil {
				d.Metadata = map[string]any{}
			}
			d.Metadata[key] = v
		}
	}
	return d, nil
}

// foreignValue is the value of a metadata field, nil if there is none. Only
// keywords may have several; of others the first counts.
func foreignValue(typ retriever.FieldType, raw []json.RawMessage, texts []string) any {
	if len(raw) == 0 {
		return nil
	}
	switch typ {
	case retriever.Keyword:
		if len(texts) > 1 {
			return texts
		}
		return texts[0]
	case retriever.Boolean:
		return bytes.Equal(raw[0], []byte("true"))
	case retriever.Date:
		if t, err := time.Parse(time.RFC3339Nano, texts[0]); err == nil {
			return t
		}
	case retriever.Number:
		if n, err := strconv.ParseInt(texts[0], 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseFloat(texts[0], 64); err == nil {
			return n
		}
	}
	return nil
}

// filter turns a filter that was validated against the fields into a query.
func (x *foreign) filter(f *retriever.Filter) (object, error) {
	all := func(filters []retriever.Filter) ([]any, error) {
		list := make([]any, len(filters))
		for i := range filters {
			var err error
			if list[i], err = x.filter(&filters[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	switch {
	case f.Not != nil:
		inner, err := x.filter(f.Not)
		return object{"bool": object{"must_not": []any{inner}}}, err
	case f.And != nil:
		list, err := all(f.And)
		return object{"bool": object{"filter": list}}, err
	case f.Or != nil:
		list, err := all(f.Or)
		return object{"bool": object{"should": list, "minimum_should_match": 1}}, err
	}
	field, typ := x.its.Metadata[f.Field], x.types[f.Field]
	switch {
	case f.Exists != nil:
		exists := object{"exists": object{"field": field}}
		if !*f.Exists {
			return object{"bool": object{"must_not": []any{exists}}}, nil
		}
		return exists, nil
	case f.Equals != nil:
		return foreignEquals(field, typ, f.Equals)
	case f.In != nil:
		list := make([]any, len(f.In))
		for i, each := range f.In {
			var err error
			if list[i], err = foreignEquals(field, typ, each); err != nil {
				return nil, err
			}
		}
		if len(list) == 0 {
			return object{"match_none": object{}}, nil
		}
		return object{"bool": object{"should": list, "minimum_should_match": 1}}, nil
	}
	bounds := object{}
	for key, value := range map[string]any{"gt": f.GT, "gte": f.GTE, "lt": f.LT, "lte": f.LTE} {
		if value == nil {
			continue
		}
		v, err := retriever.CoerceValue(typ, value)
		if err != nil {
			return nil, err
		}
		bounds[key] = foreignBound(v)
	}
	return foreignRange(field, typ, bounds), nil
}

func foreignEquals(field string, typ retriever.FieldType, value any) (object, error) {
	v, err := retriever.CoerceValue(typ, value)
	if err != nil {
		return nil, err
	}
	if typ == retriever.Date {
		bound := foreignBound(v)
		return foreignRange(field, typ, object{"gte": bound, "lte": bound}), nil
	}
	return term(field, v), nil
}

func foreignBound(v any) any {
	if t, ok := v.(time.Time); ok {
		return t.UTC().Format(time.RFC3339Nano)
	}
	return v
}

func foreignRange(field string, typ retriever.FieldType, bounds object) object {
	if typ == retriever.Date {
		bounds["format"] = foreignDate
	}
	return object{"range": object{field: bounds}}
}

// byIDs matches documents by their ids.
func (x *foreign) byIDs(ids []string) object {
	if x.its.ID != "" {
		return anyOf(x.its.ID, ids)
	}
	return object{"ids": object{"values": ids}}
}

// Document implements [retriever.Documents].
func (x *foreign) Document(ctx context.Context, id string) (d retriever.Document, err error) {
	err = x.call(ctx, "read from", func() error {
		list, err := x.fetch(ctx, object{"query": x.byIDs([]string{id}), "size": 1})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fmt.Errorf("%w: %q", retriever.ErrDocumentNotFound, id)
		}
		d, err = x.document(&list[0])
		return err
	})
	return d, err
}

// Infos implements [retriever.Documents].
func (x *foreign) Infos(ctx context.Context, ids []string) (map[string]retriever.DocumentInfo, error) {
	infos := make(map[string]retriever.DocumentInfo, len(ids))
	err := x.call(ctx, "read from", func() error {
		for part := range slices.Chunk(ids, scanSize) {
			list, err := x.fetch(ctx, object{"query": x.byIDs(part), "size": len(part)})
			if err != nil {
				return err
			}
			for i := range list {
				d, err := x.document(&list[i])
				if err != nil {
					return err
				}
				infos[d.ID] = foreignInfo(&d)
			}
		}
		return nil
	})
	return infos, err
}

// List implements [retriever.Documents]. It needs the field that the
// configuration names as the id.
func (x *foreign) List(ctx context.Context, after string, limit int) (infos []retriever.DocumentInfo, err error) {
	err = x.call(ctx, "list", func() error {
		if x.its.ID == "" {
			return fmt.Errorf("%w: Elasticsearch does not sort by _id; set retriever.existing.%s.id to a keyword field that names the documents", retriever.ErrUnsupported, x.named)
		}
		for len(infos) < limit {
			size := min(limit-len(infos), scanSize)
			body := object{"query": object{"match_all": object{}}, "sort": []any{object{x.its.ID: "asc"}}, "size": size}
			if after != "" {
				body["search_after"] = []any{after}
			}
			list, err := x.fetch(ctx, body)
			if err != nil {
				return err
			}
			for i := range list {
				d, err := x.document(&list[i])
				if err != nil {
					return err
				}
				infos = append(infos, foreignInfo(&d))
				after = d.ID
			}
			if len(list) < size {
				break
			}
		}
		return nil
	})
	return infos, err
}

func foreignInfo(d *retriever.Document) retriever.DocumentInfo {
	return retriever.DocumentInfo{
		ID: d.ID, Title: d.Title, Passages: len(cutText(d.ID, d.Text)), Runes: utf8.RuneCountInString(d.Text), Source: d.Source, Groups: d.Groups,
	}
}
