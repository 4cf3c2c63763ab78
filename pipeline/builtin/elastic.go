package builtin

import (
	"context"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/ranker"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/elastic"
	"github.com/needle-search/needle/store"
	records "github.com/needle-search/needle/store/elastic"
)

// elasticConfig makes the settings of the Elasticsearch retriever the section
// of a configuration. Nothing of it lies in the data directory.
type elasticConfig struct {
	elastic.Config `yaml:",inline"`
}

var (
	_ pipeline.HybridConfig = (*elasticConfig)(nil)
	_ pipeline.StoreOpener  = (*elasticConfig)(nil)
)

func (c *elasticConfig) Open(context.Context, string) (retriever.Backend, error) {
	return elastic.New(c.Config)
}

// Hybrid implements [pipeline.HybridConfig].
func (c *elasticConfig) Hybrid() (ranker.Fusion, bool) {
	return ranker.Fusion{Method: c.Config.Hybrid, Weight: c.HybridWeight, K: c.RRFK}, c.Config.Hybrid != "none"
}

// OpenStore keeps keys, feedback and the like on the same server, so that all
// servers that use it share them. The dot keeps the name apart from those of
// indexes.
func (c *elasticConfig) OpenStore(ctx context.Context) (store.Driver, error) {
	return records.Open(ctx, records.Config{Connection: c.Connection, Index: c.IndexPrefix + "store.records", Replicas: c.Replicas})
}
