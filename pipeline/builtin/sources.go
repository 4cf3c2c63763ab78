package builtin

import (
	"context"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/s3"
	"github.com/needle-search/needle/pipeline"
)

var _ pipeline.TreeOpener = (*s3Config)(nil)

// s3Config makes the settings of buckets the section of a configuration.
type s3Config struct {
	s3.Config `yaml:",inline"`
}

// Processor implements [pipeline.FormatConfig]: a bucket is no format.
func (*s3Config) Processor() ingest.Processor { return nil }

// OpenTree implements [pipeline.TreeOpener].
func (c *s3Config) OpenTree(_ context.Context, address string) (ingest.Tree, error) {
	return s3.Open(c.Config, address)
}
