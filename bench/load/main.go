// Command load asks a running Needle server from many clients at a time and
// reports what it can do: throughput, latency, refusals and memory.
//
//	go run ./bench/load -server http://127.0.0.1:8080 -questions questions.txt -askers 1,8,32,128 -seconds 20
//	go run ./bench/load -questions questions.txt -askers 8 -overload 4 -overload-seconds 300
//
// Askers ask one question after the other. Overload sends questions at a fixed
// rate whatever comes back, so many times of what the askers before it were
// answered at best, and then one asker sees how soon the server has recovered.
//
// With -raw, a reader without a server in front of it is measured in turn.
//
// Every question gets a number appended, so that no answer comes from the
// cache. It asks loopback addresses only and ends by itself.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
)

// A row is what one number of askers gave, a JSON line.
type row struct {
	What   string `json:"what"`
	Askers int    `json:"askers,omitempty"`
	// Rate is how many questions a second were sent in overload.
	Rate       float64 `json:"sent_per_second,omitempty"`
	Seconds    float64 `json:"seconds"`
	Accepted   int     `json:"accepted"`
	Refused    int     `json:"refused"`
	Failed     int     `json:"failed"`
	Throughput float64 `json:"accepted_per_second"`
	P50        float64 `json:"p50_ms"`
	P95        float64 `json:"p95_ms"`
	P99        float64 `json:"p99_ms"`
	MemoryMB   float64 `json:"rss_mb"`
	// MemoryOver is how much that was on the way, every ten seconds.
	MemoryOver []float64 `json:"rss_mb_over_time,omitempty"`
	LoadStart  string    `json:"load_before"`
	LoadEnd    string    `json:"load_after"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	server := flag.String("server", "http://127.0.0.1:8080", "address of the server, on loopback")
	file := flag.String("questions", "", "file with a question a line")
	askers := flag.String("askers", "1,8,32,128", "numbers of askers, one after the other")
	seconds := flag.Int("seconds", 20, "how long each number asks, at most 600")
	raw := flag.Bool("raw", false, "after each number of askers, let as many read the same passages in this process")
	overload := flag.Float64("overload", 0, "then send so many times of what was answered, 1 to 100")
	overloadSeconds := flag.Int("overload-seconds", 300, "how long, at most 3600")
	flag.Parse()
	if *overload != 0 && (*overload < 1 || *overload > 100) || *overloadSeconds < 10 || *overloadSeconds > 3600 {
		return fmt.Errorf("overload: %v for %d s; allowed is 1 to 100, for 10 to 3600 s", *overload, *overloadSeconds)
	}
	if err := loopback(*server); err != nil {
		return err
	}
	if *seconds < 1 || *seconds > 600 {
		return fmt.Errorf("seconds: %d; allowed is 1 to 600", *seconds)
	}
	questions, err := readLines(*file)
	if err != nil {
		return err
	}
	c, err := client.New(*server, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}})
	if err != nil {
		return err
	}
	var next atomic.Int64
	question := func() string {
		n := next.Add(1)
		return fmt.Sprintf("%s %d", questions[int(n)%len(questions)], n)
	}
	var beside *rawReader
	if *raw {
		if beside, err = openRaw(context.Background(), c, questions); err != nil {
			return err
		}
		defer beside.service.Close()
	}
	out := json.NewEncoder(os.Stdout)
	most := 0.0
	for part := range strings.SplitSeq(*askers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 4096 {
			return fmt.Errorf("askers: %q; allowed are numbers from 1 to 4096", part)
		}
		r := measure(c, n, time.Duration(*seconds)*time.Second, question)
		r.MemoryMB = memory(*server)
		if err := out.Encode(r); err != nil {
			return err
		}
		most = max(most, r.Throughput)
		if beside == nil {
			continue
		}
		if err := out.Encode(beside.measure(context.Background(), n, time.Duration(*seconds)*time.Second)); err != nil {
			return err
		}
	}
	if *overload == 0 {
		return nil
	}
	r, err := flood(c, *server, *overload*most, time.Duration(*overloadSeconds)*time.Second, question)
	if err != nil {
		return err
	}
	if err := out.Encode(r); err != nil {
		return err
	}
	r = measure(c, 1, 10*time.Second, question)
	r.MemoryMB = memory(*server)
	return out.Encode(r)
}

func loopback(server string) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && !ip.IsLoopback() {
		return fmt.Errorf("server: %q is not on loopback", server)
	}
	return nil
}

func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("questions: %w", err)
	}
	defer f.Close()
	var lines []string
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, errors.New("questions: the file has none")
	}
	return lines, scanner.Err()
}

// measure has a number of askers ask one question after the other.
func measure(c *client.Client, askers int, duration time.Duration, question func() string) row {
	r := row{What: "askers", Askers: askers, LoadStart: loadAverage()}
	var mu sync.Mutex
	var times []float64
	begin := time.Now()
	end := begin.Add(duration)
	var group sync.WaitGroup
	for range askers {
		group.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				_, err := c.Ask(context.Background(), pipeline.Request{Question: question()})
				took := float64(time.Since(start).Microseconds()) / 1000
				mu.Lock()
				switch {
				case err == nil:
					times = append(times, took)
				case errors.Is(err, models.ErrOverloaded):
					r.Refused++
				default:
					r.Failed++
				}
				mu.Unlock()
				if errors.Is(err, models.ErrOverloaded) {
					// As a client does that was told to come back; a tight loop
					// would measure refusals.
					time.Sleep(500 * time.Millisecond)
				}
			}
		})
	}
	group.Wait()
	r.finish(times, time.Since(begin))
	return r
}

// finish enters what the times of the accepted requests say.
func (r *row) finish(times []float64, took time.Duration) {
	r.Seconds = took.Seconds()
	r.LoadEnd = loadAverage()
	slices.Sort(times)
	r.Accepted = len(times)
	r.Throughput = float64(len(times)) / r.Seconds
	at := func(q float64) float64 {
		if len(times) == 0 {
			return 0
		}
		return times[min(int(q*float64(len(times))), len(times)-1)]
	}
	r.P50, r.P95, r.P99 = at(.5), at(.95), at(.99)
}

// memory is what the server says of itself, 0 without metrics.
func memory(server string) float64 {
	response, err := http.Get(server + "/metrics")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	scanner := bufio.NewScanner(response.Body)
	for scanner.Scan() {
		if value, ok := strings.CutPrefix(scanner.Text(), "process_resident_memory_bytes "); ok {
			n, _ := strconv.ParseFloat(value, 64)
			return n / (1 << 20)
		}
	}
	return 0
}

// loadAverage says how busy the machine is, where the system tells.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}
