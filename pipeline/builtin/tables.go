package builtin

import (
	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/csv"
	"github.com/needle-search/needle/ingest/jsonmap"
	"github.com/needle-search/needle/pipeline"
)

// addRecords registers the formats whose rows or objects are documents, with
// what the configuration says about their columns and keys.
func addRecords(r *pipeline.Registry) {
	r.AddFormat("csv", func() pipeline.FormatConfig { return &csvConfig{} })
	r.AddFormat("json", func() pipeline.FormatConfig { return &jsonConfig{} })
}

// csvConfig makes the columns of tables the section of a configuration.
type csvConfig struct {
	csv.Config `yaml:",inline"`
}

func (c *csvConfig) Processor() ingest.Processor { return csv.New(c.Config) }

// jsonConfig makes the keys of JSON files the section of a configuration.
type jsonConfig struct {
	jsonmap.Config `yaml:",inline"`
}

func (c *jsonConfig) Processor() ingest.Processor { return jsonmap.New(c.Config) }
