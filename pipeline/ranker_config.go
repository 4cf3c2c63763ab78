package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// A RankerType says which rankers work on the candidates, joined by "+" in the
// order in which they do. In YAML it is a name or a list of names.
type RankerType string

// The types of rankers.
const (
	// RankerNone keeps the order of retrieval.
	RankerNone RankerType = "none"
	// RankerVector orders by BM25 and the vectors of question and passages.
	RankerVector RankerType = "vector"
	// RankerRelevance orders by the relevance head of the reader's bundle.
	RankerRelevance RankerType = "relevance"
	// RankerBoth lets the vectors choose what the relevance head looks at.
	RankerBoth RankerType = "vector+relevance"
)

// rankerTypes are all allowed combinations.
var rankerTypes = []RankerType{RankerNone, RankerVector, RankerRelevance, RankerBoth}

// UnmarshalYAML reads a name or a list of names.
func (t *RankerType) UnmarshalYAML(data []byte) error {
	var list []string
	if err := yaml.Unmarshal(data, &list); err != nil {
		var one string
		if err := yaml.Unmarshal(data, &one); err != nil {
			return fmt.Errorf("a ranker or a list of them")
		}
		list = []string{one}
	}
	if len(list) == 0 {
		list = []string{string(RankerNone)}
	}
	*t = RankerType(strings.Join(list, "+"))
	return nil
}

func (t RankerType) has(part RankerType) bool {
	return slices.Contains(strings.Split(string(t), "+"), string(part))
}

// without is the type that is left when a ranker cannot work.
func (t RankerType) without(part RankerType) RankerType {
	left := slices.DeleteFunc(strings.Split(string(t), "+"), func(s string) bool { return s == string(part) })
	if len(left) == 0 {
		return RankerNone
	}
	return RankerType(strings.Join(left, "+"))
}

// How many candidates are read when ranker.top_k is 0: BM25 alone has the right
// one among 40 as often as the vectors have it among 10.
const (
	readRanked   = 10
	readUnranked = 20
)

// RankerSection chooses what reorders and cuts candidates before reading.
type RankerSection struct {
	Type RankerType `yaml:"type"`
	// TopK is how many candidates are read; 0 means 10 when they are ranked and
	// 20 when they are not.
	TopK int `yaml:"top_k"`
	// Bundle has the embedding head that makes the vectors: a registered name
	// or a directory.
	Bundle string `yaml:"bundle"`
	// Depth is how many candidates the relevance head looks at.
	Depth int `yaml:"depth"`
}

// Reads returns how many candidates are read after the given ranker.
func (r RankerSection) Reads(used RankerType) int {
	switch {
	case r.TopK > 0:
		return r.TopK
	case used == RankerNone:
		return readUnranked
	}
	return readRanked
}

func defaultRanker() RankerSection {
	return RankerSection{Type: RankerVector, Bundle: "builtin-embedding", Depth: 20}
}

func allowedRankers() string {
	return "none, vector, relevance or [vector, relevance]"
}
