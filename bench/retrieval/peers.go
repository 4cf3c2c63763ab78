package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lucene is the version that is compared with: the newest for Java 17.
const lucene = "9.12.2"

// serve answers the questions on standard input: nanoseconds and ids, one line
// each.
func serve(ask func(string) ([]string, time.Duration, error)) error {
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		ids, took, err := ask(questions.Text())
		if err != nil {
			return err
		}
		if _, err := fmt.Println(took.Nanoseconds(), strings.Join(ids, " ")); err != nil {
			return err
		}
	}
	return questions.Err()
}

// command returns the process that does a part of a job.
func command(ctx context.Context, o options, j job, what string) (*exec.Cmd, error) {
	here, err := sourceFolder()
	if err != nil {
		return nil, err
	}
	switch j.System {
	case "needle", "elastic":
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		data, err := json.Marshal(j)
		if err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, self, "-child", what, "-job", string(data)), nil
	case "lucene":
		classes, err := luceneClasses(ctx, o.work, here)
		if err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, "java", "-Xmx1g", "-cp", classes, "Peer", what, j.Mode, j.Stop, j.Corpus, j.Dir), nil
	case "tantivy", "bm25s":
		return exec.CommandContext(ctx, o.python, filepath.Join(here, "peer.py"), j.System, what, j.Mode, j.Stop, j.Corpus, j.Dir), nil
	}
	return nil, fmt.Errorf("unknown system %q", j.System)
}

// sourceFolder returns where this command's sources are.
func sourceFolder() (string, error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/needle-search/needle/bench/retrieval").Output()
	if err != nil {
		return "", fmt.Errorf("find the sources (run in the repository): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// luceneClasses fetches Lucene with Maven and compiles Peer.java, once, and
// returns the class path.
func luceneClasses(ctx context.Context, work, here string) (string, error) {
	dir := filepath.Join(work, "lucene-"+lucene)
	classPath := dir + string(filepath.ListSeparator) + filepath.Join(dir, "*")
	if _, err := os.Stat(filepath.Join(dir, "Peer.class")); err == nil {
		return classPath, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:"
	steps := [][]string{}
	for _, name := range []string{"lucene-core", "lucene-analysis-common"} {
		artifact := "-Dartifact=org.apache.lucene:" + name + ":" + lucene
		steps = append(steps, []string{"mvn", "-q", "-B", plugin + "get", artifact, "-Dtransitive=false"},
			[]string{"mvn", "-q", "-B", plugin + "copy", artifact, "-DoutputDirectory=" + dir})
	}
	steps = append(steps, []string{"javac", "-cp", classPath, "-d", dir, filepath.Join(here, "Peer.java")})
	for _, step := range steps {
		cmd := exec.CommandContext(ctx, step[0], step[1:]...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(step, " "), err)
		}
	}
	return classPath, nil
}

// indexed is what indexing took.
type indexed struct {
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds,omitempty"` // not known of a server
	PeakMB     int64   `json:"peak_mb,omitempty"`     // resident, files included
	DiskMB     int64   `json:"disk_mb"`
	Load       string  `json:"load"`
}

// index indexes the corpus of a job unless that is done already.
func index(ctx context.Context, o options, j job) (indexed, error) {
	var result indexed
	done := j.Dir + ".json"
	if data, err := os.ReadFile(done); err == nil {
		return result, json.Unmarshal(data, &result)
	}
	if err := os.RemoveAll(j.Dir); err != nil {
		return result, err
	}
	cmd, err := command(ctx, o, j, "index")
	if err != nil {
		return result, err
	}
	cmd.Stderr = os.Stderr
	result.Load = load()
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return result, fmt.Errorf("%s index: %w", j.System, err)
	}
	result.Seconds = time.Since(start).Seconds()
	if j.System == "elastic" {
		bytes, err := elasticBytes(ctx, j)
		if err != nil {
			return result, err
		}
		result.DiskMB = bytes >> 20
	} else {
		usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		result.CPUSeconds = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
		result.PeakMB = usage.Maxrss >> 10
		result.DiskMB = diskBytes(j.Dir) >> 20
	}
	data, err := json.Marshal(result)
	if err != nil {
		return result, err
	}
	return result, os.WriteFile(done, data, 0o600)
}

func diskBytes(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// load returns the load averages.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}

// peer is a running process that answers questions.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	pid int // of the process whose memory counts
}

func start(ctx context.Context, o options, j job) (*peer, error) {
	cmd, err := command(ctx, o, j, "serve")
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20), pid: cmd.Process.Pid}
	if j.System == "elastic" {
		p.pid = elasticProcess(ctx)
	}
	return p, nil
}

func (p *peer) ask(text string) (time.Duration, []string, error) {
	if _, err := fmt.Fprintln(p.in, strings.ReplaceAll(text, "\n", " ")); err != nil {
		return 0, nil, err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return 0, nil, err
	}
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return 0, nil, errors.New("an empty answer")
	}
	took, err := strconv.ParseInt(fields[0], 10, 64)
	return time.Duration(took), fields[1:], err
}

func (p *peer) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

// memory returns the process's resident memory that is its own, and that of
// mapped files, in MB.
func (p *peer) memory() (own, files int64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "RssAnon:":
			own = n >> 10
		case "RssFile:":
			files = n >> 10
		}
	}
	return own, files
}

// clockTick is the unit of CPU time in /proc.
const clockTick = 10 * time.Millisecond

// cpu returns the CPU time that the process has used.
func (p *peer) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0
	}
	// The fields after the name, which may hold spaces: utime and stime are the
	// 12th and 13th.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

func elasticProcess(ctx context.Context) int {
	e, err := newElastic()
	if err != nil {
		return 0
	}
	var answer struct {
		Nodes map[string]struct {
			Process struct {
				ID int `json:"id"`
			} `json:"process"`
		} `json:"nodes"`
	}
	if err := e.call(ctx, "GET", "/_nodes/_local/process", nil, &answer); err != nil {
		return 0
	}
	for _, node := range answer.Nodes {
		return node.Process.ID
	}
	return 0
}
