package monitor

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/needle-search/needle/eval"
)

// ErrExperimentNotFound says that there is no record with the given id.
var ErrExperimentNotFound = errors.New("experiment not found")

// recordVersion grows when a record changes so that an older program cannot
// read it.
const recordVersion = 1

// A Record is everything that is needed to judge an evaluation later and to do
// it again.
type Record struct {
	Version int `json:"version"`
	// ID begins with the time, so that ids sort by age.
	ID string `json:"id"`
	// Label is the user's name for it; it need not be unique.
	Label   string    `json:"label,omitempty"`
	Created time.Time `json:"created"`
	// Needle is the version of the program.
	Needle  string  `json:"needle"`
	Machine Machine `json:"machine"`
	// Config is the whole configuration as YAML.
	Config string `json:"config"`
	// Request is what was to be evaluated.
	Request EvalRequest `json:"request"`
	// Data are the files that the request names, with their hashes.
	Data []DataFile `json:"data"`
	// Generation is that of the index when the evaluation began; 0 for a
	// temporary one.
	Generation uint64 `json:"generation,omitempty"`
	// Calibrated says that a score profile was fitted for the combination.
	Calibrated bool        `json:"calibrated"`
	Report     eval.Report `json:"report"`
	// Intervals are 95 % bootstrap intervals of the metrics that are means over
	// questions.
	Intervals map[string]eval.Range `json:"intervals,omitempty"`
	// Reliability is the reliability table of the stated probabilities.
	Reliability []eval.Bin `json:"reliability,omitempty"`
}

// An EvalRequest names data and stage of an evaluation.
type EvalRequest struct {
	Dataset string   `json:"dataset"`
	Path    string   `json:"path"`
	Corpus  []string `json:"corpus,omitempty"`
	Stage   string   `json:"stage"`
	Limit   int      `json:"limit,omitempty"`
	// Index is empty where the data was indexed in a temporary place.
	Index string `json:"index,omitempty"`
}

// A DataFile is a file by its content.
type DataFile struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// A Machine is where an evaluation ran.
type Machine struct {
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	CPU   string `json:"cpu,omitempty"`
	Cores int    `json:"cores"`
}

// ThisMachine describes the machine that the program runs on.
func ThisMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU()}
	// Only Linux tells without a library; elsewhere the name stays empty.
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if found := cpuName.FindSubmatch(data); found != nil {
			m.CPU = string(found[1])
		}
	}
	return m
}

var cpuName = regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`)

// Experiments keeps records in a directory, each with the outcomes of its
// single questions. The directory is made when the first record is added.
type Experiments struct{ dir string }

// OpenExperiments returns the records in a directory, which need not exist.
func OpenExperiments(dir string) *Experiments { return &Experiments{dir: dir} }

const (
	recordFile   = "record.json"
	outcomesFile = "questions.jsonl"
)

// NewID makes an id for a record of the given time.
func NewID(created time.Time) string {
	return created.UTC().Format("20060102-150405") + "-" + strings.ToLower(rand.Text()[:6])
}

var validID = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[a-z0-9]{6}$`)

// Add stores a record with the outcomes of its questions, whole or not at all.
func (e *Experiments) Add(record Record, outcomes []eval.Outcome) error {
	if !validID.MatchString(record.ID) {
		return fmt.Errorf("monitor: add experiment: id %q is not one that NewID makes", record.ID)
	}
	record.Version = recordVersion
	if err := os.MkdirAll(e.dir, 0o750); err != nil {
		return fmt.Errorf("monitor: add experiment: %w", err)
	}
	part, err := os.MkdirTemp(e.dir, ".part-")
	if err != nil {
		return fmt.Errorf("monitor: add experiment: %w", err)
	}
	err = e.write(part, record, outcomes)
	if err == nil {
		err = os.Rename(part, filepath.Join(e.dir, record.ID))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("monitor: add experiment %s: %w", record.ID, err), os.RemoveAll(part))
	}
	return nil
}

func (e *Experiments) write(dir string, record Record, outcomes []eval.Outcome) error {
	data, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, recordFile), append(data, '\n'), 0o640); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, outcomesFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	encoder := json.NewEncoder(w)
	for _, o := range outcomes {
		if err := encoder.Encode(o); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Flush(), f.Sync(), f.Close())
}

// List returns all records, the newest first.
func (e *Experiments) List() ([]Record, error) {
	entries, err := os.ReadDir(e.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("monitor: list experiments: %w", err)
	}
	var records []Record
	for _, entry := range entries {
		if !validID.MatchString(entry.Name()) {
			continue
		}
		record, err := e.record(entry.Name())
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
	return records, nil
}

// Get returns a record with the outcomes of its questions. The name is an id,
// the beginning of one, a label (the newest record with it counts), or
// "latest". Without a match the error wraps [ErrExperimentNotFound].
func (e *Experiments) Get(name string) (Record, []eval.Outcome, error) {
	records, err := e.List()
	if err != nil {
		return Record{}, nil, err
	}
	i := -1
	if name != "" {
		i = slices.IndexFunc(records, func(r Record) bool { return r.ID == name || r.Label == name || name == "latest" })
	}
	if i < 0 && name != "" {
		i = slices.IndexFunc(records, func(r Record) bool { return strings.HasPrefix(r.ID, name) })
	}
	if i < 0 {
		return Record{}, nil, fmt.Errorf("monitor: %w: %q; `needle eval list` shows the %d that there are", ErrExperimentNotFound, name, len(records))
	}
	outcomes, err := e.outcomes(records[i].ID)
	return records[i], outcomes, err
}

func (e *Experiments) record(id string) (Record, error) {
	var record Record
	data, err := os.ReadFile(filepath.Join(e.dir, id, recordFile))
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err == nil && record.Version > recordVersion {
		err = fmt.Errorf("its version is %d, this program knows %d; use a newer needle", record.Version, recordVersion)
	}
	if err != nil {
		return Record{}, fmt.Errorf("monitor: experiment %s: %w", id, err)
	}
	return record, nil
}

func (e *Experiments) outcomes(id string) ([]eval.Outcome, error) {
	data, err := os.ReadFile(filepath.Join(e.dir, id, outcomesFile))
	if err != nil {
		return nil, fmt.Errorf("monitor: experiment %s: %w", id, err)
	}
	var outcomes []eval.Outcome
	for number, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var o eval.Outcome
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, fmt.Errorf("monitor: experiment %s: %s:%d: %w", id, outcomesFile, number+1, err)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}
