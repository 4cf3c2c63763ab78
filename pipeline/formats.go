package pipeline

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/needle-search/needle/ingest"
)

// A FormatConfig is the section `ingest.NAME` of a configuration. It is a
// pointer to a struct with yaml tags, filled with the defaults before decoding.
type FormatConfig interface {
	// Validate checks the values without touching disk or network.
	Validate() error
	// Processor returns the processor with these settings, always the same one,
	// or nil if the settings say that there is none. It does no I/O.
	Processor() ingest.Processor
}

// A TreeOpener is a [FormatConfig] whose section says how to reach sources that
// are no directories. It opens the addresses that start with the name under
// which it was registered and "://".
type TreeOpener interface {
	OpenTree(ctx context.Context, address string) (ingest.Tree, error)
}

// IngestSection holds the settings of file formats, by the names under which
// they were registered.
type IngestSection struct {
	Formats map[string]FormatConfig `yaml:"-"`
}

// A format is a registered file format, with settings or without.
type format struct {
	name      string
	processor ingest.Processor
}

// AddFormat registers a file format that has settings; newConfig returns its
// defaults. It takes its place in the order of [Registry.AddProcessor].
func (r *Registry) AddFormat(name string, newConfig func() FormatConfig) {
	r.formats = put(r.formats, name, newConfig)
	r.processors = append(r.processors, format{name: name})
}

func (r *Registry) newFormats() map[string]FormatConfig {
	formats := make(map[string]FormatConfig, len(r.formats))
	for name, newConfig := range r.formats {
		formats[name] = newConfig()
	}
	return formats
}

// addTo adds the sections to what may be set.
func (s *IngestSection) addTo(fields map[string]reflect.Value) {
	for name, config := range s.Formats {
		fields[name] = reflect.ValueOf(config).Elem()
	}
}

// validate returns the faults, each with its key below `ingest`.
func (s *IngestSection) validate() error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(s.Formats)) {
		if err := s.Formats[name].Validate(); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				faults = append(faults, errors.New(name+"."+line))
			}
		}
	}
	return errors.Join(faults...)
}

// processors returns the processors of a configuration, in order.
func (c *Config) processors() []ingest.Processor {
	var list []ingest.Processor
	for _, f := range c.registry.processors {
		p := f.processor
		if config, ok := c.Ingest.Formats[f.name]; ok && p == nil {
			p = config.Processor()
		}
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}
