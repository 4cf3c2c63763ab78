package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/needle-search/needle/eval"
)

// ErrMLflow says that an MLflow server refused a request or could not be
// reached.
var ErrMLflow = errors.New("mlflow")

// MLflow writes records to a tracking server through its REST API, version 2.0.
type MLflow struct {
	// URL is the server's, for example http://127.0.0.1:5000.
	URL string
	// Token is sent as a bearer token; empty means none.
	Token string
	// Client is the HTTP client; nil means the default one.
	Client *http.Client
}

// Export makes a run for a record in the named experiment, which is made if it
// is missing, and returns the id of the run: metrics, parameters (all settings,
// the data with its hashes, the model), tags, and as artefacts the record, the
// outcomes and the report. Artefacts need a server that serves them (the
// default of `mlflow server`).
func (m MLflow) Export(ctx context.Context, experiment string, record Record, outcomes []eval.Outcome) (string, error) {
	id, err := m.experiment(ctx, experiment)
	if err != nil {
		return "", err
	}
	var made struct {
		Run struct {
			Info struct {
				RunID       string `json:"run_id"`
				ArtifactURI string `json:"artifact_uri"`
			} `json:"info"`
		} `json:"run"`
	}
	name := record.ID
	if record.Label != "" {
		name = record.Label + " " + record.ID
	}
	err = m.call(ctx, http.MethodPost, "runs/create", map[string]any{
		"experiment_id": id, "run_name": name, "start_time": record.Created.UnixMilli(),
	}, &made)
	if err != nil {
		return "", err
	}
	run := made.Run.Info.RunID
	for part := range slices.Chunk(parameters(record), 100) {
		if err := m.call(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": run, "params": part}, nil); err != nil {
			return run, err
		}
	}
	batch := map[string]any{"run_id": run, "metrics": metrics(record), "tags": []entry{
		{"needle.run", record.ID}, {"needle.version", record.Needle}, {"needle.machine", fmt.Sprintf("%s, %d cores", record.Machine.CPU, record.Machine.Cores)},
	}}
	if err := m.call(ctx, http.MethodPost, "runs/log-batch", batch, nil); err != nil {
		return run, err
	}
	if err := m.artifacts(ctx, made.Run.Info.ArtifactURI, record, outcomes); err != nil {
		return run, err
	}
	end := record.Created.UnixMilli() + int64(record.Report.Seconds*1000)
	return run, m.call(ctx, http.MethodPost, "runs/update", map[string]any{"run_id": run, "status": "FINISHED", "end_time": end}, nil)
}

type entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// maxParameter is the longest value that MLflow takes.
const maxParameter = 6000

func parameters(record Record) []entry {
	values := flatten(record.Config)
	values["dataset"], values["stage"] = record.Report.Dataset, record.Report.Stage
	if model := record.Report.Model; model != nil {
		values["model.name"], values["model.hash"] = model.Name, model.Hash
	}
	values["index.generation"] = fmt.Sprint(record.Generation)
	for i, file := range record.Data {
		values[fmt.Sprintf("data.%d", i)] = path.Base(file.Path) + " sha256:" + file.SHA256
	}
	var list []entry
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if value := values[key]; value != "" {
			list = append(list, entry{key, value[:min(len(value), maxParameter)]})
		}
	}
	return list
}

type metric struct {
	Key       string  `json:"key"`
	Value     float64 `json:"value"`
	Timestamp int64   `json:"timestamp"`
	Step      int     `json:"step"`
}

func metrics(record Record) []metric {
	list := []metric{{"seconds", record.Report.Seconds, record.Created.UnixMilli(), 0}}
	add := func(name string, value float64) {
		// MLflow's names have no @.
		list = append(list, metric{strings.ReplaceAll(name, "@", "_at_"), value, record.Created.UnixMilli(), 0})
	}
	for _, name := range slices.Sorted(maps.Keys(record.Report.Metrics)) {
		add(name, record.Report.Metrics[name])
		if i, ok := record.Intervals[name]; ok {
			add(name+"_lower", i.Lower)
			add(name+"_upper", i.Upper)
		}
	}
	return list
}

// experiment returns the id of an experiment, made if it is missing.
func (m MLflow) experiment(ctx context.Context, name string) (string, error) {
	var found struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"experiment"`
	}
	err := m.call(ctx, http.MethodGet, "experiments/get-by-name?experiment_name="+url.QueryEscape(name), nil, &found)
	if err == nil {
		return found.Experiment.ID, nil
	}
	if !errors.Is(err, errMissing) {
		return "", err
	}
	var made struct {
		ID string `json:"experiment_id"`
	}
	return made.ID, m.call(ctx, http.MethodPost, "experiments/create", map[string]any{"name": name}, &made)
}

func (m MLflow) artifacts(ctx context.Context, root string, record Record, outcomes []eval.Outcome) error {
	var report, questions bytes.Buffer
	if err := WriteReport(&report, record, outcomes, nil); err != nil {
		return err
	}
	encoder := json.NewEncoder(&questions)
	for _, o := range outcomes {
		if err := encoder.Encode(o); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	// "mlflow-artifacts:/1/abc/artifacts" is served under one fixed path.
	_, place, ok := strings.Cut(root, "mlflow-artifacts:")
	if !ok {
		return fmt.Errorf("monitor: %w: its artefacts are at %s, which the server does not serve; metrics and parameters are written", ErrMLflow, root)
	}
	for name, content := range map[string][]byte{recordFile: data, outcomesFile: questions.Bytes(), "report.html": report.Bytes()} {
		target := "mlflow-artifacts/artifacts/" + strings.TrimLeft(place, "/") + "/" + name
		if err := m.send(ctx, http.MethodPut, target, "application/octet-stream", content, nil); err != nil {
			return err
		}
	}
	return nil
}

func (m MLflow) call(ctx context.Context, method, target string, body, into any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return fmt.Errorf("monitor: %w: %w", ErrMLflow, err)
		}
	}
	return m.send(ctx, method, "mlflow/"+target, "application/json", data, into)
}

// errMissing says that what was asked for does not exist.
var errMissing = errors.New("it does not exist")

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 1 << 20

func (m MLflow) send(ctx context.Context, method, target, contentType string, data []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(m.URL, "/")+"/api/2.0/"+target, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("monitor: %w: %w", ErrMLflow, err)
	}
	request.Header.Set("Content-Type", contentType)
	if m.Token != "" {
		request.Header.Set("Authorization", "Bearer "+m.Token)
	}
	client := m.Client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("monitor: %w: %w", ErrMLflow, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("monitor: %w: %w", ErrMLflow, err)
	}
	if response.StatusCode >= 300 {
		var fault struct {
			Code    string `json:"error_code"`
			Message string `json:"message"`
		}
		// What is no JSON is shown as it is.
		if json.Unmarshal(answer, &fault) != nil || fault.Message == "" {
			fault.Message = string(answer[:min(len(answer), 200)])
		}
		cause := fmt.Errorf("monitor: %w: %s %s gave %s: %s", ErrMLflow, method, target, response.Status, fault.Message)
		if fault.Code == "RESOURCE_DOES_NOT_EXIST" {
			return fmt.Errorf("%w: %w", errMissing, cause)
		}
		return cause
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("monitor: %w: %s %s: %w", ErrMLflow, method, target, err)
	}
	return nil
}
