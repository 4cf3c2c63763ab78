package telemetry_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var deployed = filepath.Join("..", "deploy", "prometheus")

// alertFiles are the unit tests of the rules.
func alertFiles() []string { return []string{"alerts-test.yaml", "sources-test.yaml"} }

// promtool returns Prometheus's own tool.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is not installed (Debian: prometheus)")
		}
		t.Skip("promtool is not installed (Debian: prometheus)")
	}
	return path
}

// TestAlertsFire runs Prometheus's own tool over the rules and their tests.
func TestAlertsFire(t *testing.T) {
	tool := promtool(t)
	commands := [][]string{{"check", "config", "prometheus.yaml"}, {"check", "rules", "alerts.yaml"}}
	for _, file := range alertFiles() {
		commands = append(commands, []string{"test", "rules", file})
	}
	for _, args := range commands {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = deployed
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestEveryAlertIsTested asserts that the tests have every rule fire, and be
// quiet on the same series before.
func TestEveryAlertIsTested(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(deployed, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, file := range alertFiles() {
		text := read(file)
		for _, m := range regexp.MustCompile(`alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels`).FindAllStringSubmatch(text, -1) {
			fires[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`alertname: (\w+), exp_alerts: \[\]`).FindAllStringSubmatch(text, -1) {
			quiet[m[1]] = true
		}
	}
	rules := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read("alerts.yaml"), -1)
	if len(rules) < 15 {
		t.Fatalf("found %d rules: the pattern does not fit", len(rules))
	}
	for _, m := range rules {
		if !fires[m[1]] || !quiet[m[1]] {
			t.Errorf("%s: shown to fire %v, to be quiet %v; want both", m[1], fires[m[1]], quiet[m[1]])
		}
	}
}

const weekMinutes = 7 * 24 * 60

// A week is what a server exports in seven days, by the minute.
type week struct {
	random *rand.Rand
	series map[string][]float64
}

// coarse is how many minutes are between the samples of sources: their rules
// look back for two weeks, and promtool bounds what a rule may load.
const coarse = 4

// gauge sets a series by the minute.
func (w *week) gauge(name string, value func(minute int) float64) {
	list := make([]float64, weekMinutes+1)
	for m := range list {
		list[m] = value(m)
	}
	w.series[name] = list
}

// counter adds up what comes in a minute. Two releases start it anew.
func (w *week) counter(name string, more func(minute int) float64) {
	sum := 0.0
	w.gauge(name, func(m int) float64 {
		if restarted(m) {
			sum = 0
		}
		sum += more(m)
		return sum
	})
}

// restarted says that a release went out in this minute: on Tuesday and on
// Thursday at noon.
func restarted(m int) bool { return m == 36*60 || m == 84*60 }

// weekend is Saturday and Sunday; the week begins on Monday at midnight.
func weekend(m int) bool { return m/(24*60) >= 5 }

// poisson draws how many of something come in a minute.
func (w *week) poisson(mean float64) float64 {
	limit, product, n := math.Exp(-mean), w.random.Float64(), 0.0
	for product > limit {
		product *= w.random.Float64()
		n++
	}
	return n
}

// healthyWeek is a server that people use by day, hardly at night, and little
// at the week end. Things go wrong as they do: single errors, a burst that is
// refused, people who go away before they have an answer, a sync that fails
// once and succeeds with the next.
func healthyWeek(seed uint64) *week {
	w := &week{rand.New(rand.NewPCG(seed, 0)), map[string][]float64{}}
	asked := make([]float64, weekMinutes+1)
	for m := range asked {
		hour := float64(m%(24*60)) / 60
		mean := 0.3 + 30*math.Exp(-(hour-13)*(hour-13)/18)
		if weekend(m) {
			mean /= 8
		}
		asked[m] = w.poisson(mean)
	}
	part := func(share float64) func(int) float64 {
		return func(m int) float64 { return w.poisson(share * asked[m]) }
	}
	w.gauge(`up{job="needle",instance="needle:8080"}`, func(m int) float64 {
		if restarted(m) {
			return 0
		}
		return 1
	})
	const ask = `needle_http_request_duration_seconds_count{route="/v1/ask",method="POST",code="%d"}`
	w.counter(fmt.Sprintf(ask, 200), func(m int) float64 { return asked[m] })
	w.counter(fmt.Sprintf(ask, 400), part(0.01))
	// One question by day and one at night fail; twice a burst is refused.
	w.counter(fmt.Sprintf(ask, 500), func(m int) float64 { return one(m%(24*60) == 13*60 || m%(24*60) == 3*60) })
	burst := func(m int) float64 { return 4 * one(m == 37*60+5 || m == 60*60) }
	w.counter(fmt.Sprintf(ask, 503), burst)
	w.counter(`needle_queue_rejected_total`, burst)
	for _, b := range []struct {
		le    string
		share float64
	}{{"0.25", 0.6}, {"1", 0.97}, {"5", 0.995}, {"10", 1}, {"+Inf", 1}} {
		// The same draws for every bucket keep them cumulative.
		random := rand.New(rand.NewPCG(seed, 1))
		w.counter(`needle_operation_duration_seconds_bucket{operation="ask",outcome="ok",le="`+b.le+`"}`, func(m int) float64 {
			n := 0.0
			for range int(asked[m]) {
				n += one(random.Float64() <= b.share)
			}
			return n
		})
	}
	w.counter(`needle_operation_duration_seconds_count{operation="ask",outcome="ok"}`, func(m int) float64 { return asked[m] })
	none := make([]float64, len(asked))
	for m := range none {
		// At night nobody asks what the documents are about.
		share := 0.35 + 0.6*one(m%(24*60) < 4*60)
		for range int(asked[m]) {
			none[m] += one(w.random.Float64() < share)
		}
	}
	w.counter(`needle_questions_total{result="no_answer"}`, func(m int) float64 { return none[m] })
	w.counter(`needle_questions_total{result="answered"}`, func(m int) float64 { return asked[m] - none[m] })
	w.counter(`needle_model_call_duration_seconds_count`, func(m int) float64 { return 10 * asked[m] })
	w.counter(`needle_model_call_failures_total`, part(0.1)) // 1 % of the calls: askers who left
	w.gauge(`needle_model_device_fallback`, func(int) float64 { return 0 })
	w.counter(`needle_model_rollbacks_total`, func(int) float64 { return 0 })
	w.gauge(`needle_index_unreadable`, func(m int) float64 { return one(m%3000 >= 2998) }) // Elasticsearch restarts
	w.sources()
	w.quality(asked)
	return w
}

// sources are one that is synced every hour and changes when people work, and
// one that a nightly job takes in, which takes its time.
func (w *week) sources() {
	failed := 30*60 + 10 // one sync failed; the next came after ten minutes
	w.gauge(`needle_source_failing{index="default",source="wiki"}`, func(m int) float64 { return one(m >= failed && m < failed+10) })
	w.gauge(`needle_source_last_success_timestamp_seconds{index="default",source="wiki"}`, func(m int) float64 { return float64(m / 60 * 3600) })
	last := 0.0
	w.gauge(`needle_source_last_change_timestamp_seconds{index="default",source="wiki"}`, func(m int) float64 {
		if hour := m / 60 % 24; m%60 == 0 && hour >= 8 && hour < 18 && !weekend(m) {
			last = float64(m) * 60
		}
		return last
	})
	w.gauge(`needle_source_failing{index="default",source="archive"}`, func(int) float64 { return 0 })
	start := 0.0
	next := 2*60 + 40
	w.gauge(`needle_source_last_success_timestamp_seconds{index="default",source="archive"}`, func(m int) float64 {
		if m == next {
			// The time is that of its beginning, and it begins when it can.
			start = float64(m-m%(24*60)+2*60+w.random.IntN(30)) * 60
			next += 24*60 + w.random.IntN(11) - 5
		}
		return start
	})
}

// quality is what the server says of its own answers.
func (w *week) quality(asked []float64) {
	w.gauge(`needle_canary_healthy{index="default"}`, func(int) float64 { return 1 })
	w.gauge(`needle_canary_last_run_timestamp_seconds{index="default"}`, func(m int) float64 { return float64(m / 60 * 3600) })
	w.gauge(`needle_drift_detected{feature="probability"}`, func(int) float64 { return 0 })
	for outcome, share := range map[string]float64{"same": 0.08, "other": 0.01, "failed": 0.0005, "dropped": 0.01} {
		w.counter(`needle_shadow_questions_total{outcome="`+outcome+`"}`, func(m int) float64 { return w.poisson(share * asked[m]) })
	}
	judged := 0.0
	w.gauge(`needle_feedback_judgements{index="default",standing="pending"}`, func(m int) float64 {
		judged += w.poisson(0.02 * asked[m])
		return judged
	})
	w.gauge(`needle_feedback_judgements{index="default",standing="quarantined"}`, func(int) float64 { return 0 })
	w.counter(`needle_http_request_duration_seconds_count{route="/v1/feedback",method="POST",code="201"}`, func(m int) float64 { return w.poisson(0.02 * asked[m]) })
	// Somebody double-clicks.
	w.counter(`needle_http_request_duration_seconds_count{route="/v1/feedback",method="POST",code="429"}`, func(m int) float64 { return 2 * one(m == 62*60) })
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// check has promtool count the alerts that fired in the first days.
func (w *week) check(t *testing.T, days int) (output string, err error) {
	t.Helper()
	rules, err := filepath.Abs(filepath.Join(deployed, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	fmt.Fprintf(&file, "rule_files: [%q]\nevaluation_interval: 2m\ntests:\n", rules)
	for _, step := range []int{1, coarse} {
		fmt.Fprintf(&file, "  - interval: %dm\n    input_series:\n", step)
		for _, name := range slices.Sorted(maps.Keys(w.series)) {
			if strings.HasPrefix(name, "needle_source_") != (step == coarse) {
				continue
			}
			fmt.Fprintf(&file, "      - series: '%s'\n        values: '", name)
			for m := 0; m <= days*24*60; m += step {
				file.WriteString(strconv.FormatFloat(w.series[name][m], 'f', -1, 64) + " ")
			}
			file.WriteString("'\n")
		}
		fmt.Fprintf(&file, "    promql_expr_test:\n      - expr: count by (alertname) (count_over_time(ALERTS{alertstate=\"firing\"}[%dd]))\n        eval_time: %dd\n        exp_samples: []\n", days, days)
	}
	path := filepath.Join(t.TempDir(), "week.yaml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), promtool(t), "test", "rules", path).CombinedOutput()
	return string(out), err
}

// TestAlertsStayQuietForAWeek evaluates every rule every two minutes of a healthy
// week: none may fire. Two days of it with bad hours show that the check would
// see it.
func TestAlertsStayQuietForAWeek(t *testing.T) {
	if out, err := healthyWeek(1).check(t, 7); err != nil {
		t.Errorf("alerts fired in a healthy week: %v\n%s", err, out)
	}
	w := healthyWeek(1)
	for m := 30 * 60; m < 31*60; m++ {
		w.series[`needle_canary_healthy{index="default"}`][m] = 0
		w.series[`needle_source_failing{index="default",source="archive"}`][m] = 1
	}
	out, err := w.check(t, 2)
	for _, want := range []string{`alertname="NeedleCanary"`, `alertname="NeedleSyncFailed"`} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("a bad hour was not seen: %v, want %s in\n%s", err, want, out)
		}
	}
}

// TestSilenceOfAWeekEndIsNone has a source that changes every hour when people
// work, for five weeks, with a holiday on the fourth Monday.
func TestSilenceOfAWeekEndIsNone(t *testing.T) {
	tool := promtool(t)
	rules, err := filepath.Abs(filepath.Join(deployed, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		stopped int // the day after which nothing changes any more
		quiet   bool
	}{"working": {35, true}, "stopped": {22, false}} {
		t.Run(name, func(t *testing.T) {
			var values []string
			last := 0
			for h := range 35 * 24 {
				day, hour := h/24, h%24
				if day < c.stopped && day%7 < 5 && day != 21 && hour >= 8 && hour < 18 {
					last = h * 3600
				}
				values = append(values, strconv.Itoa(last))
			}
			file := fmt.Sprintf("rule_files: [%q]\nevaluation_interval: 1h\ntests:\n  - interval: 1h\n    input_series:\n      - series: 'needle_source_last_change_timestamp_seconds{index=\"a\",source=\"b\"}'\n        values: '%s'\n"+
				"    promql_expr_test:\n      - expr: count by (alertname) (count_over_time(ALERTS{alertname=\"NeedleSourceSilent\",alertstate=\"firing\"}[35d]))\n        eval_time: 34d\n        exp_samples: []\n",
				rules, strings.Join(values, " "))
			path := filepath.Join(t.TempDir(), "silence.yaml")
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), tool, "test", "rules", path).CombinedOutput()
			if quiet := err == nil; quiet != c.quiet {
				t.Errorf("quiet: %v, want %v; %s", quiet, c.quiet, out)
			}
			if !c.quiet && !strings.Contains(string(out), `alertname="NeedleSourceSilent"`) {
				t.Errorf("another fault: %s", out)
			}
		})
	}
}
