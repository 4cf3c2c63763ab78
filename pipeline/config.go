package pipeline

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// A Config is everything that can be set. The yaml tags are the keys of
// needle.yaml. Start from [DefaultConfig] or [LoadConfig].
type Config struct {
	// Data is the directory that holds the indexes.
	Data string `yaml:"data"`
	// Index is the index that is used when a request names none.
	Index string `yaml:"index"`
	// Indexes says more of single indexes, by name.
	Indexes   map[string]IndexSection `yaml:"indexes"`
	Retriever RetrieverSection        `yaml:"retriever"`
	Ranker    RankerSection           `yaml:"ranker"`
	Reader    ReaderSection           `yaml:"reader"`
	// Models are bundles beside the reader's, by the name that requests for
	// predictions give.
	Models    map[string]ModelSection `yaml:"models"`
	Split     ingest.SplitterConfig   `yaml:"split"`
	Ingest    IngestSection           `yaml:"ingest"`
	Limits    Limits                  `yaml:"limits"`
	Server    Server                  `yaml:"server"`
	Monitor   Monitor                 `yaml:"monitor"`
	Log       Log                     `yaml:"log"`
	Telemetry Telemetry               `yaml:"telemetry"`
	Runtime   Runtime                 `yaml:"runtime"`

	registry *Registry
	// fitted are the score profiles of the data directory; see LoadProfiles.
	fitted []Profile
	pinned bool
}

// RetrieverSection chooses and sets up the retriever.
type RetrieverSection struct {
	Type string `yaml:"type"`
	// TopK is how many passages are retrieved for a question.
	TopK int `yaml:"top_k"`
	// Options are those of the type.
	Options RetrieverConfig `yaml:"-"`
}

// ReaderSection chooses the bundle and says how it reads.
type ReaderSection struct {
	// Bundle is "builtin" or a directory.
	Bundle string `yaml:"bundle"`
	Device string `yaml:"device"`
	// DeviceFallback lets the model run on the CPU where the device is not
	// available; every result then says so.
	DeviceFallback bool   `yaml:"device_fallback"`
	Precision      string `yaml:"precision"`
	// Workers is how many windows are read at once; 0 means one a core.
	Workers int `yaml:"workers"`
	// TopK is how many answers a result holds.
	TopK          int `yaml:"top_k"`
	reader.Config `yaml:",inline"`
}

// Limits keep requests within bounds.
type Limits struct {
	// Queue is how many requests may wait for the model.
	Queue int `yaml:"queue"`
	// MaxWait is how long a request may have to wait for others; one that would
	// wait longer is refused at once. 0 means any time.
	MaxWait time.Duration `yaml:"max_wait"`
	// Timeout ends a request; 0 means never.
	Timeout time.Duration `yaml:"timeout"`
	// Budget ends reading early with the best answers so far; 0 means never.
	Budget time.Duration `yaml:"budget"`
	// MaxQuestionTokens is the longest question in model tokens.
	MaxQuestionTokens int `yaml:"max_question_tokens"`
	// MaxDocumentBytes is the longest text of one document.
	MaxDocumentBytes ByteSize `yaml:"max_document_bytes"`
	// ArchiveBytes, ArchiveFiles and ArchiveDepth bound what one archive or
	// mail may unpack to.
	ArchiveBytes ByteSize `yaml:"archive_bytes"`
	ArchiveFiles int      `yaml:"archive_files"`
	ArchiveDepth int      `yaml:"archive_depth"`
	// CacheBytes is the memory for answers, candidate lists and cut texts that
	// may be asked for again; 0 means no cache.
	CacheBytes ByteSize `yaml:"cache_bytes"`
	// OpenIndexes is how many indexes are open at once. Others are opened when
	// they are used, and the one that was used longest ago is closed. While more
	// are in use, more are open.
	OpenIndexes int `yaml:"open_indexes"`
}

// Log sets up logging.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn, error
}

// Runtime is about the ONNX Runtime library.
type Runtime struct {
	// Library is its path; empty means to look for it.
	Library string `yaml:"library"`
}

// DefaultConfig returns the configuration of an empty file.
func DefaultConfig(registry *Registry) *Config {
	c := &Config{
		Data:      "./needle-data",
		Index:     "default",
		Retriever: RetrieverSection{Type: "bleve", TopK: 200},
		Ranker:    defaultRanker(),
		Reader: ReaderSection{
			Bundle: "builtin", Device: "cpu", Precision: "auto", TopK: 3, Config: reader.DefaultConfig(),
		},
		Split:     ingest.DefaultSplitterConfig(),
		Ingest:    IngestSection{Formats: registry.newFormats()},
		Limits:    Limits{Queue: 256, MaxWait: 2 * time.Second, Timeout: 30 * time.Second, MaxQuestionTokens: 64, MaxDocumentBytes: 64 << 20, ArchiveBytes: 4 << 30, ArchiveFiles: 100_000, ArchiveDepth: 4, CacheBytes: 256 << 20, OpenIndexes: 64},
		Server:    defaultServer(),
		Monitor:   defaultMonitor(),
		Log:       Log{Level: "info"},
		Telemetry: Telemetry{Metrics: true, Sample: 1},
		registry:  registry,
	}
	if newOptions, ok := registry.retrievers[c.Retriever.Type]; ok {
		c.Retriever.Options = newOptions()
	}
	return c
}

// LoadConfig reads a YAML file over the defaults. Unknown keys and wrong
// values are refused; the error names every one with its line, key, value and
// what is allowed. An empty path gives the defaults.
func LoadConfig(path string, registry *Registry) (*Config, error) {
	if path == "" {
		return DefaultConfig(registry), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return ParseConfig(path, data, registry)
}

// ParseConfig is LoadConfig for bytes; the name appears in errors.
func ParseConfig(name string, data []byte, registry *Registry) (*Config, error) {
	c := DefaultConfig(registry)
	if err := c.decode(data); err != nil {
		return nil, configError(name, err)
	}
	if err := c.Validate(); err != nil {
		return nil, configError(name, err)
	}
	return c, nil
}

// ErrInvalidConfig says that a configuration has unknown keys or wrong values.
var ErrInvalidConfig = errors.New("invalid configuration")

func configError(name string, err error) error {
	return fmt.Errorf("%w in %s:\n%w", ErrInvalidConfig, name, err)
}

// Validate checks all values without touching disk or network and reports
// every fault with its key, its value and what is allowed.
func (c *Config) Validate() error {
	var faults []error
	fault := func(key string, value any, allowed string) {
		faults = append(faults, fmt.Errorf("%s: %v; allowed is %s", key, value, allowed))
	}
	nested := func(prefix string, err error) {
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				faults = append(faults, errors.New(prefix+"."+line))
			}
		}
	}
	between := func(key string, value, low, high int) {
		if value < low || value > high {
			fault(key, value, fmt.Sprintf("%d to %d", low, high))
		}
	}
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			fault(key, fmt.Sprintf("%q", value), strings.Join(allowed, ", "))
		}
	}
	if c.Data == "" {
		fault("data", `""`, "a directory")
	}
	if err := retriever.ValidIndexName(c.Index); err != nil {
		faults = append(faults, fmt.Errorf("index: %w", err))
	}
	if c.Retriever.Options == nil {
		fault("retriever.type", fmt.Sprintf("%q", c.Retriever.Type), names(c.registry.retrievers))
	} else {
		nested("retriever", c.Retriever.Options.Validate())
	}
	if err := c.validateHybrid(); err != nil {
		faults = append(faults, err)
	}
	between("retriever.top_k", c.Retriever.TopK, 1, 10000)
	validateIndexes(c.Indexes, fault)
	if !slices.Contains(rankerTypes, c.Ranker.Type) {
		fault("ranker.type", fmt.Sprintf("%q", c.Ranker.Type), allowedRankers())
	}
	between("ranker.top_k", c.Ranker.TopK, 0, 1000)
	between("ranker.depth", c.Ranker.Depth, 1, 1000)
	if c.Ranker.Bundle == "" {
		fault("ranker.bundle", `""`, names(c.registry.bundles)+" or a directory")
	}
	if c.Reader.Bundle == "" {
		fault("reader.bundle", `""`, names(c.registry.bundles)+" or a directory")
	}
	if c.Reader.Device != "cpu" && !isCUDA(c.Reader.Device) {
		fault("reader.device", fmt.Sprintf("%q", c.Reader.Device), "cpu or cuda:N")
	}
	oneOf("reader.precision", c.Reader.Precision, "auto", "fp32", "fp16", "int8")
	between("reader.workers", c.Reader.Workers, 0, 1024)
	between("reader.top_k", c.Reader.TopK, 1, MaxTopK)
	nested("reader", c.Reader.Config.Validate())
	validateModels(c.Models, names(c.registry.bundles), fault)
	nested("split", c.Split.Validate())
	nested("ingest", c.Ingest.validate())
	between("limits.queue", c.Limits.Queue, 1, 1<<20)
	between("limits.max_question_tokens", c.Limits.MaxQuestionTokens, 1, c.Reader.MaxSeqLength/2)
	between("limits.open_indexes", c.Limits.OpenIndexes, 1, 1<<16)
	if c.Limits.Timeout < 0 {
		fault("limits.timeout", c.Limits.Timeout, "0s (never) or more")
	}
	if c.Limits.MaxWait < 0 {
		fault("limits.max_wait", c.Limits.MaxWait, "0s (any time) or more")
	}
	if c.Limits.Budget < 0 {
		fault("limits.budget", c.Limits.Budget, "0s (never) or more")
	}
	if c.Limits.ArchiveBytes < 1 {
		fault("limits.archive_bytes", c.Limits.ArchiveBytes, "1 or more")
	}
	between("limits.archive_files", c.Limits.ArchiveFiles, 1, 1<<30)
	between("limits.archive_depth", c.Limits.ArchiveDepth, 1, 20)
	if c.Limits.MaxDocumentBytes < 1 {
		fault("limits.max_document_bytes", c.Limits.MaxDocumentBytes, "1 or more")
	}
	if c.Limits.CacheBytes < 0 {
		fault("limits.cache_bytes", c.Limits.CacheBytes, "0 (no cache) or more")
	}
	faults = append(faults, c.Server.validate()...)
	faults = append(faults, c.Telemetry.validate()...)
	c.Monitor.validate(fault)
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	return errors.Join(faults...)
}

func isCUDA(device string) bool {
	n, ok := strings.CutPrefix(device, "cuda:")
	return ok && n != "" && strings.Trim(n, "0123456789") == ""
}
