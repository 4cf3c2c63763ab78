package bleve_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// TestFilterAgainstModel compares random filters over random metadata with a
// plain evaluation, in an index of several segments with replaced documents.
func TestFilterAgainstModel(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	index := create(t, bleve.DefaultConfig())
	stored := map[string]map[string]any{}
	for range 12 {
		var batch []retriever.Entry
		for range 12 {
			id := fmt.Sprintf("doc%03d", random.IntN(100))
			e := entry(id, "", "item")
			e.Document.Metadata = randomMetadata(random)
			stored[id] = e.Document.Metadata
			batch = append(batch, e)
		}
		if err := index.Upsert(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	matched := 0
	for range 1500 {
		f := randomFilter(random, 3)
		if err := f.Validate(stats.Fields); err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: "item", TopK: 1000, Filter: &f, AllGroups: true})
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		var got, want []string
		for _, hit := range results.Hits {
			got = append(got, hit.DocumentID)
		}
		for id, metadata := range stored {
			if passes(t, &f, metadata, stats.Fields) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("filter %+v finds %v, want %v", f, got, want)
		}
		matched += len(want)
	}
	if matched == 0 {
		t.Error("no filter matched anything")
	}
}

// numbers are values at which an encoding may go wrong.
var numbers = []float64{
	0, 1, -1, 2, 255, 256, 257, 65535, 65536, -256, 0.5, -0.5, 1e300, -1e300, math.SmallestNonzeroFloat64,
	math.MaxFloat64, -math.MaxFloat64, 1 << 53, math.Pi,
}

func randomNumber(random *rand.Rand) float64 {
	if random.IntN(3) == 0 {
		return random.NormFloat64() * 1000
	}
	return numbers[random.IntN(len(numbers))]
}

func randomDate(random *rand.Rand) time.Time {
	return time.Unix(random.Int64N(1<<36)-(1<<35), int64(random.IntN(3))*1000).UTC()
}

func randomMetadata(random *rand.Rand) map[string]any {
	m := map[string]any{}
	if random.IntN(4) > 0 {
		m["number"] = randomNumber(random)
	}
	if random.IntN(4) == 0 {
		m["number"] = int64(random.IntN(300))
	}
	if random.IntN(4) > 0 {
		m["date"] = randomDate(random)
	}
	if random.IntN(4) > 0 {
		m["word"] = fmt.Sprintf("w%d", random.IntN(5))
	}
	if random.IntN(4) == 0 {
		m["word"] = []string{fmt.Sprintf("w%d", random.IntN(5)), fmt.Sprintf("w%d", random.IntN(5))}
	}
	if random.IntN(4) > 0 {
		m["flag"] = random.IntN(2) == 0
	}
	return m
}

func randomFilter(random *rand.Rand, depth int) retriever.Filter {
	if depth > 0 && random.IntN(3) > 0 {
		children := make([]retriever.Filter, 1+random.IntN(3))
		for i := range children {
			children[i] = randomFilter(random, depth-1)
		}
		switch random.IntN(3) {
		case 0:
			return retriever.Filter{And: children}
		case 1:
			return retriever.Filter{Or: children}
		}
		return retriever.Filter{Not: &children[0]}
	}
	value := map[string]func() any{
		"number": func() any { return randomNumber(random) },
		"date":   func() any { return randomDate(random) },
		"word":   func() any { return fmt.Sprintf("w%d", random.IntN(6)) },
		"flag":   func() any { return random.IntN(2) == 0 },
	}
	field := []string{"number", "date", "word", "flag"}[random.IntN(4)]
	f := retriever.Filter{Field: field}
	kind := random.IntN(4)
	if kind == 3 && (field == "word" || field == "flag") {
		kind = 0
	}
	switch kind {
	case 0:
		f.Equals = value[field]()
	case 1:
		f.In = []any{value[field](), value[field]()}
	case 2:
		exists := random.IntN(2) == 0
		f.Exists = &exists
	case 3:
		switch random.IntN(3) {
		case 0:
			f.GT = value[field]()
		case 1:
			f.GTE = value[field]()
		}
		if f.GT == nil && f.GTE == nil || random.IntN(2) == 0 {
			if random.IntN(2) == 0 {
				f.LT = value[field]()
			} else {
				f.LTE = value[field]()
			}
		}
	}
	return f
}

// passes evaluates a filter on one document.
func passes(t *testing.T, f *retriever.Filter, metadata map[string]any, fields map[string]retriever.FieldType) bool {
	all, some := true, false
	for _, part := range slices.Concat(f.And, f.Or) {
		ok := passes(t, &part, metadata, fields)
		all, some = all && ok, some || ok
	}
	switch {
	case f.And != nil:
		return all
	case f.Or != nil:
		return some
	case f.Not != nil:
		return !passes(t, f.Not, metadata, fields)
	}
	stored, there := metadata[f.Field]
	if f.Exists != nil {
		return there == *f.Exists
	}
	values := []any{stored}
	if list, ok := stored.([]string); ok {
		values = []any{list[0], list[1]}
	}
	if !there {
		return false
	}
	// compare returns the order of the stored value and the filter's.
	compare := func(v, bound any) int {
		t.Helper()
		typ := fields[f.Field]
		a, errA := retriever.CoerceValue(typ, v)
		b, errB := retriever.CoerceValue(typ, bound)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		switch a := a.(type) {
		case float64:
			switch {
			case a < b.(float64):
				return -1
			case a > b.(float64):
				return 1
			}
			return 0
		case time.Time:
			return a.Compare(b.(time.Time))
		}
		if a == b {
			return 0
		}
		return 1
	}
	return slices.ContainsFunc(values, func(v any) bool {
		if f.Equals != nil || f.In != nil {
			wanted := f.In
			if f.Equals != nil {
				wanted = []any{f.Equals}
			}
			return slices.ContainsFunc(wanted, func(w any) bool { return compare(v, w) == 0 })
		}
		return (f.GT == nil || compare(v, f.GT) > 0) && (f.GTE == nil || compare(v, f.GTE) >= 0) &&
			(f.LT == nil || compare(v, f.LT) < 0) && (f.LTE == nil || compare(v, f.LTE) <= 0)
	})
}
