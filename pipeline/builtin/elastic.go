package builtin

import (
	"context"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/elastic"
)

// elasticConfig makes the settings of the Elasticsearch retriever the section
// of a configuration. Nothing of it lies in the data directory.
type elasticConfig struct {
	elastic.Config `yaml:",inline"`
}

func (c *elasticConfig) Open(context.Context, string) (retriever.Backend, error) {
	return elastic.New(c.Config)
}
