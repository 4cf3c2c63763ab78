package elastic

import (
	"slices"

	"github.com/needle-search/needle/retriever"
)

// object is a JSON object on its way to the server.
type object = map[string]any

// maxTerms bounds one list of terms; the server refuses 65,536.
const maxTerms = 10_000

func term(field string, value any) object { return object{"term": object{field: value}} }

// anyOf matches what has at least one of the terms.
func anyOf(field string, terms []string) object {
	if len(terms) <= maxTerms {
		return object{"terms": object{field: nonNil(terms)}}
	}
	var parts []any
	for part := range slices.Chunk(terms, maxTerms) {
		parts = append(parts, object{"terms": object{field: part}})
	}
	return object{"bool": object{"should": parts, "minimum_should_match": 1}}
}

// nonNil makes JSON write an empty list, where nil would be null.
func nonNil(terms []string) []string {
	if terms == nil {
		return []string{}
	}
	return terms
}

// filterQuery turns a filter that was validated against the fields into a
// query.
func filterQuery(f *retriever.Filter, fields map[string]retriever.FieldType) (object, error) {
	switch {
	case f.Not != nil:
		inner, err := filterQuery(f.Not, fields)
		return object{"bool": object{"must_not": []any{inner}}}, err
	case f.And != nil:
		all, err := filterQueries(f.And, fields)
		return object{"bool": object{"filter": all}}, err
	case f.Or != nil:
		all, err := filterQueries(f.Or, fields)
		return object{"bool": object{"should": all, "minimum_should_match": 1}}, err
	}
	typ := fields[f.Field]
	switch {
	case f.Exists != nil:
		exists := term(fieldMetadata, f.Field+tagExists)
		if !*f.Exists {
			exists = object{"bool": object{"must_not": []any{exists}}}
		}
		return exists, nil
	case f.Equals != nil:
		v, err := retriever.CoerceValue(typ, f.Equals)
		return term(fieldMetadata, valueTerm(f.Field, v)), err
	case f.In != nil:
		terms := make([]string, 0, len(f.In))
		for _, each := range f.In {
			v, err := retriever.CoerceValue(typ, each)
			if err != nil {
				return nil, err
			}
			terms = append(terms, valueTerm(f.Field, v))
		}
		return anyOf(fieldMetadata, terms), nil
	}
	// An open end stops at the field's last number: "g" follows all hex digits.
	bounds := object{"gte": f.Field + tagNumber, "lt": f.Field + tagNumber + "g"}
	for _, bound := range []struct {
		key, replaces string
		value         any
	}{{"gt", "gte", f.GT}, {"gte", "gte", f.GTE}, {"lt", "lt", f.LT}, {"lte", "lt", f.LTE}} {
		if bound.value == nil {
			continue
		}
		v, err := retriever.CoerceValue(typ, bound.value)
		if err != nil {
			return nil, err
		}
		delete(bounds, bound.replaces)
		bounds[bound.key] = valueTerm(f.Field, v)
	}
	return object{"range": object{fieldMetadata: bounds}}, nil
}

func filterQueries(filters []retriever.Filter, fields map[string]retriever.FieldType) ([]any, error) {
	all := make([]any, len(filters))
	for i := range filters {
		var err error
		if all[i], err = filterQuery(&filters[i], fields); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// groupsQuery matches what a caller with the groups may see.
func groupsQuery(groups []string) object {
	allowed := []string{groupPublic}
	for _, group := range groups {
		if group != groupPublic {
			allowed = append(allowed, group)
		}
	}
	return anyOf(fieldGroups, allowed)
}
