//go:build unix

package monitor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/monitor"
)

// startMLflow starts a tracking server that ends with the test.
func startMLflow(t *testing.T, program string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server := exec.Command(program, "server", "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--workers", "1",
		"--backend-store-uri", "sqlite:///"+filepath.Join(dir, "mlflow.db"), "--artifacts-destination", filepath.Join(dir, "artifacts"))
	server.Stdout, server.Stderr = log, log
	server.Dir = dir
	// Its workers are processes of their own.
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-server.Process.Pid, syscall.SIGKILL); err != nil {
			t.Errorf("stop mlflow: %v", err)
		}
		_ = server.Wait() // it was killed
	})
	target := fmt.Sprintf("http://127.0.0.1:%d", port)
	for range 600 {
		response, err := http.Get(target + "/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return target
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name()) // there is no more to say without it
	t.Fatalf("mlflow does not answer:\n%s", said)
	return ""
}

// checkMLflow reads a run back from the server.
func checkMLflow(t *testing.T, target, run string, r monitor.Record) {
	t.Helper()
	var got struct {
		Run struct {
			Info struct {
				Status     string `json:"status"`
				Experiment string `json:"experiment_id"`
			} `json:"info"`
			Data struct {
				Metrics []struct {
					Key   string  `json:"key"`
					Value float64 `json:"value"`
				} `json:"metrics"`
				Params []struct{ Key, Value string } `json:"params"`
			} `json:"data"`
		} `json:"run"`
	}
	fetch := func(path string) []byte {
		response, err := http.Get(target + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		data, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s gave %s, %v: %s", path, response.Status, err, data)
		}
		return data
	}
	if err := json.Unmarshal(fetch("/api/2.0/mlflow/runs/get?run_id="+run), &got); err != nil {
		t.Fatal(err)
	}
	metrics, params := make(map[string]float64), make(map[string]string)
	for _, m := range got.Run.Data.Metrics {
		metrics[m.Key] = m.Value
	}
	for _, p := range got.Run.Data.Params {
		params[p.Key] = p.Value
	}
	if got.Run.Info.Status != "FINISHED" || metrics["f1"] != 0.5 || metrics["f1_upper"] != 0.9 || params["reader.top_k"] != "3" || params["model.hash"] != r.Report.Model.Hash {
		t.Errorf("the server holds %+v", got)
	}
	record := fetch(fmt.Sprintf("/get-artifact?path=record.json&run_uuid=%s", run))
	if !strings.Contains(string(record), r.ID) {
		t.Errorf("the artefact is %s", record)
	}
}

// TestMLflow exports to a real server. Its address is in NEEDLE_MLFLOW_URL; where it
// is not, the program mlflow is started if it is there.
func TestMLflow(t *testing.T) {
	target := os.Getenv("NEEDLE_MLFLOW_URL")
	if target == "" {
		program, err := exec.LookPath("mlflow")
		if err != nil && os.Getenv("CI") == "true" {
			t.Fatal("mlflow is not installed (training/requirements.txt)")
		}
		if err != nil {
			t.Skip("needs an MLflow server: set NEEDLE_MLFLOW_URL, or install mlflow")
		}
		target = startMLflow(t, program)
	}
	r := record(t, "label", time.Now(), 0.5)
	m := monitor.MLflow{URL: target}
	for range 2 { // the second finds the experiment made
		run, err := m.Export(t.Context(), "needle-test", r, outcomes(1, 0))
		if err != nil || run == "" {
			t.Fatalf("Export gave %q, %v", run, err)
		}
		checkMLflow(t, target, run, r)
	}
	if _, err := (monitor.MLflow{URL: "http://127.0.0.1:1"}).Export(t.Context(), "x", r, nil); !errors.Is(err, monitor.ErrMLflow) {
		t.Errorf("without a server: %v, want ErrMLflow", err)
	}
}
