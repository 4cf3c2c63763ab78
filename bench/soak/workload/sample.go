package workload

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Sample is what the server holds at a moment.
type Sample struct {
	// Seconds is since the traffic began.
	Seconds float64 `json:"seconds"`
	// Quiet says that nothing ran and that garbage was collected before; only
	// such samples are compared.
	Quiet bool `json:"quiet"`
	// Resident is the memory of the process, Heap what Go's heap takes of it.
	Resident   float64 `json:"rss_mb"`
	Heap       float64 `json:"heap_mb"`
	Goroutines float64 `json:"goroutines"`
	Handles    float64 `json:"handles"`
	Threads    float64 `json:"threads"`
}

// sample looks at the server.
func (s *server) sample(ctx context.Context, quiet bool) (Sample, error) {
	v := Sample{Quiet: quiet}
	if quiet {
		// Connections that wait for a next request are handles, too.
		s.transport.CloseIdleConnections()
		// The profile itself is of no interest; asking for it collects garbage.
		for range 2 {
			if err := fetch(ctx, s.profiles+"/debug/pprof/heap?gc=1", io.Discard); err != nil {
				return v, err
			}
		}
		if err := s.pause(ctx, settle); err != nil {
			return v, err
		}
	}
	var metrics bytes.Buffer
	if err := fetch(ctx, s.url+"/metrics", &metrics); err != nil {
		return v, err
	}
	for lines := bufio.NewScanner(&metrics); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
		case name == "go_goroutines":
			v.Goroutines = value
		case name == "go_memstats_heap_inuse_bytes":
			v.Heap = value / 1e6
		}
	}
	process := filepath.Join("/proc", strconv.Itoa(s.command.Process.Pid))
	status, err := os.ReadFile(filepath.Join(process, "status"))
	if err != nil {
		return v, err
	}
	for line := range strings.Lines(string(status)) {
		key, text, _ := strings.Cut(line, ":")
		value, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
		switch {
		case err != nil:
		case key == "VmRSS":
			v.Resident = value * 1024 / 1e6
		case key == "Threads":
			v.Threads = value
		}
	}
	handles, err := os.ReadDir(filepath.Join(process, "fd"))
	v.Handles = float64(len(handles))
	if err == nil && (v.Goroutines == 0 || v.Heap == 0 || v.Resident == 0 || v.Handles == 0) {
		err = fmt.Errorf("workload: the server does not say all of what it holds: %+v", v)
	}
	return v, err
}

// settle is how long what ended with the traffic may take to go.
const settle = 500 * time.Millisecond

func fetch(ctx context.Context, url string, into io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Close = true // or the server would count this connection later
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("workload: GET %s: %s", url, response.Status)
	}
	_, err = io.Copy(into, response.Body)
	return err
}

// A measured is one thing that must not grow without end.
type measured struct {
	name  string
	of    func(Sample) float64
	unit  string
	least float64 // growth that is no leak, whatever there is
	share float64 // and as a part of what there is
}

var measures = []measured{
	{"goroutines", func(s Sample) float64 { return s.Goroutines }, "", 4, 0.05},
	{"file handles", func(s Sample) float64 { return s.Handles }, "", 4, 0.05},
	{"threads", func(s Sample) float64 { return s.Threads }, "", 4, 0.1},
	{"heap", func(s Sample) float64 { return s.Heap }, " MB", 8, 0.1},
	{"resident memory", func(s Sample) float64 { return s.Resident }, " MB", 20, 0.06},
}

// enough is how many quiet samples a trend needs.
const enough = 8

// A Growth is how one thing changed over the second half of the quiet samples.
type Growth struct {
	Name    string  `json:"name"`
	Median  float64 `json:"median"`
	Growth  float64 `json:"growth"`
	Allowed float64 `json:"allowed"`
	Leak    bool    `json:"leak"`
	unit    string
}

func (g Growth) String() string {
	return fmt.Sprintf("%s: %.1f%s, %+.1f over the second half, %.1f allowed", g.Name, g.Median, g.unit, g.Growth, g.Allowed)
}

// growths decides whether a series of samples shows a leak. The first half is
// left out, because caches, arenas and pools fill. Over the second half the
// growth is the slope by Theil and Sen (the median of the slopes between all
// pairs, which single outliers do not move) times the time. Of too few samples
// for that, the last is compared with the second, and three times as much is
// allowed.
func growths(samples []Sample) []Growth {
	var quiet []Sample
	for _, s := range samples {
		if s.Quiet {
			quiet = append(quiet, s)
		}
	}
	if len(quiet) < 2 {
		return nil
	}
	slack := 1.0
	half := quiet[len(quiet)/2:]
	if len(quiet) < enough {
		slack, half = 3, quiet[1:]
	}
	var all []Growth
	for _, m := range measures {
		values := make([]float64, len(half))
		for i, s := range half {
			values[i] = m.of(s)
		}
		g := Growth{Name: m.name, unit: m.unit, Median: median(values)}
		if slack > 1 {
			g.Growth = values[len(values)-1] - values[0]
		} else {
			g.Growth = slope(half, values) * (half[len(half)-1].Seconds - half[0].Seconds)
		}
		g.Allowed = slack * max(m.least, m.share*g.Median)
		g.Leak = g.Growth > g.Allowed
		all = append(all, g)
	}
	return all
}

func slope(samples []Sample, values []float64) float64 {
	var slopes []float64
	for i := range values {
		for k := i + 1; k < len(values); k++ {
			if d := samples[k].Seconds - samples[i].Seconds; d > 0 {
				slopes = append(slopes, (values[k]-values[i])/d)
			}
		}
	}
	return median(slopes)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
