package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A panelQuery is one query of a panel of a dashboard.
type panelQuery struct{ panel, expr string }

// panelQueries reads what the deployed dashboards ask Prometheus.
func panelQueries(t *testing.T) []panelQuery {
	t.Helper()
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %d dashboards, %v", len(files), err)
	}
	var list []panelQuery
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			Panels []struct {
				Title   string `json:"title"`
				Targets []struct {
					Expr string `json:"expr"`
				} `json:"targets"`
			} `json:"panels"`
		}
		if err := json.Unmarshal(data, &dashboard); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, panel := range dashboard.Panels {
			if len(panel.Targets) == 0 {
				t.Errorf("%s: %s asks nothing", file, panel.Title)
			}
			for _, target := range panel.Targets {
				list = append(list, panelQuery{filepath.Base(file) + ": " + panel.Title, target.Expr})
			}
		}
	}
	return list
}

// startPrometheus runs the deployed configuration with another target and a
// scrape every second, and returns its address.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("prometheus is not installed (Debian: prometheus)")
		}
		t.Skip("prometheus is not installed (Debian: prometheus)")
	}
	dir := t.TempDir()
	for _, name := range []string{"prometheus.yaml", "alerts.yaml"} {
		data, err := os.ReadFile(filepath.Join("../../deploy/prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "needle:8080", target)
		text = regexp.MustCompile(`(scrape|evaluation)_interval: \w+`).ReplaceAllString(text, "${1}_interval: 1s")
		write(t, dir, name, text)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", log.String())
		}
	})
	return "http://" + address
}

// values asks Prometheus; values that are no numbers are left out.
func values(t *testing.T, prometheus, expr string) []float64 {
	t.Helper()
	response, err := http.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil // it is starting
	}
	defer response.Body.Close()
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil
	}
	if response.StatusCode == http.StatusServiceUnavailable {
		return nil
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %s %v", expr, body, err)
	}
	var list []float64
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			list = append(list, v)
		}
	}
	return list
}

// firing returns the labels of the alerts that fire.
func firing(t *testing.T, prometheus string) []map[string]string {
	t.Helper()
	response, err := http.Get(prometheus + "/api/v1/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string            `json:"state"`
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	var labels []map[string]string
	for _, alert := range answer.Data.Alerts {
		if alert.State == "firing" {
			labels = append(labels, alert.Labels)
		}
	}
	return labels
}

// TestDashboardsShowLiveData has a real Prometheus scrape a real server with
// traffic, and asks it what the panels of the dashboards ask: every query gives
// numbers.
func TestDashboardsShowLiveData(t *testing.T) {
	needRuntime(t)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	config := write(t, dir, "needle.yaml", "data: "+data+"\nmonitor: {drift_window: 50, interval: 2s, feedback: {quarantine_per_hour: 3}}\n")
	candidate := write(t, dir, "candidate.yaml", "ranker: {type: none, top_k: 1}\n")
	write(t, dir, "docs/tower.txt", towerStory)
	write(t, dir, "docs/bridge.txt", "The bridge is made of stone and older than the town.")
	run := func(args ...string) string { return mustNeedle(t, append(args, "--config", config)...) }
	run("index", "sync", filepath.Join(dir, "docs"))
	process(t, "serve", "--config", config, "--addr", "127.0.0.1:0")
	server := ""
	for deadline := time.Now().Add(60 * time.Second); server == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server does not come up")
		}
		server = runningServer(t.Context(), data).URL
	}
	golden := write(t, dir, "golden.json", `{"version":"v2.0","data":[{"title":"t","paragraphs":[{"context":"`+towerStory+`","qas":[
		{"id":"1","question":"Who designed the tower?","is_impossible":false,"answers":[{"text":"Ada Lane","answer_start":26}]}]}]}]}`)
	run("canary", "set", "--path", golden)
	run("shadow", "start", candidate, "--share", "1")
	post := func(path, body string) {
		response, err := http.Post(server+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode >= 300 {
			t.Fatalf("%s %s gave %d", path, body, response.StatusCode)
		}
	}
	for i := range 5 {
		post("/v1/feedback", fmt.Sprintf(`{"question":"Where is thing %d?","verdict":"missing"}`, i))
	}
	prometheus := startPrometheus(t, strings.TrimPrefix(server, "http://"))
	// The traffic of a minute: questions of two kinds, most of them asked before.
	asked := 0
	traffic := func() {
		for range 20 {
			asked++
			question := []string{"Who designed the tower?", "What is the bridge made of?", "Which opera did the mayor compose?"}[asked%3]
			if asked%10 == 0 {
				question = fmt.Sprintf("%s (%d)", question, asked)
			}
			post("/v1/ask", fmt.Sprintf(`{"question":%q}`, question))
		}
	}
	open := panelQueries(t)
	if len(open) < 30 {
		t.Fatalf("the dashboards ask %d queries", len(open))
	}
	for deadline := time.Now().Add(2 * time.Minute); len(open) > 0; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			break
		}
		traffic()
		open = slices.DeleteFunc(open, func(q panelQuery) bool {
			return len(values(t, prometheus, strings.ReplaceAll(q.expr, "$__rate_interval", "15s"))) > 0
		})
	}
	for _, q := range open {
		t.Errorf("%s shows nothing: %s", q.panel, q.expr)
	}
	// What is shown is what happened.
	if got := values(t, prometheus, `needle_feedback_judgements{standing="quarantined"}`); !slices.Equal(got, []float64{5}) {
		t.Errorf("in quarantine: got %v, want the five of one key", got)
	}
	if got := values(t, prometheus, `sum(needle_questions_total)`); len(got) != 1 || got[0] == 0 {
		t.Errorf("questions: got %v", got)
	}
	for _, alert := range firing(t, prometheus) {
		t.Errorf("an alert fires: %v", alert)
	}
}
