package pipeline

import (
	"context"

	"github.com/needle-search/needle/ingest"
)

// AddPaths indexes files and directories of this machine. It can be interrupted
// and run again: unchanged documents are skipped by content hash. What cannot
// be taken is in the report and does not stop the rest; see
// [ingest.Ingester.AddPaths] for the errors.
func (p *Pipeline) AddPaths(ctx context.Context, paths []string, options AddOptions) (ingest.Report, error) {
	splitter, err := p.splitter()
	if err != nil {
		return ingest.Report{}, err
	}
	ingester, err := p.config.newIngester(splitter)
	if err != nil {
		return ingest.Report{}, err
	}
	target, err := p.indexOrCreate(ctx, options.Index)
	if err != nil {
		return ingest.Report{}, err
	}
	report, err := ingester.AddPaths(ctx, target, paths, options.Events)
	p.warn(&report)
	return report, err
}

// Ingester returns an ingester with the configured formats and splitter, for
// those who bring documents elsewhere than into an index of this pipeline.
func (c *Config) Ingester() (*ingest.Ingester, error) {
	splitter, err := ingest.NewSplitter(c.Split, nil)
	if err != nil {
		return nil, err
	}
	return c.newIngester(splitter)
}

// newIngester keeps out of the data directory, which may lie in a folder that
// is indexed.
func (c *Config) newIngester(splitter *ingest.Splitter) (*ingest.Ingester, error) {
	return ingest.New(splitter, c.processors(), ingest.Options{
		MaxDocumentBytes: int64(c.Limits.MaxDocumentBytes),
		Members: ingest.MemberLimits{
			Bytes: int64(c.Limits.ArchiveBytes), Files: c.Limits.ArchiveFiles, Depth: c.Limits.ArchiveDepth,
		},
		Walk: ingest.WalkOptions{Exclude: []string{c.Data}, IgnoreFile: ingest.IgnoreFile},
	})
}
