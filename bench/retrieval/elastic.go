package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// elastic speaks to an Elasticsearch over plain HTTP, as a client library would.
type elastic struct{ url string }

func newElastic() (*elastic, error) {
	url := os.Getenv("NEEDLE_ES_URL")
	if url == "" {
		return nil, errors.New("NEEDLE_ES_URL is not set; start a server with deploy/elasticsearch/test-server.sh")
	}
	return &elastic{url}, nil
}

func (e *elastic) call(ctx context.Context, method, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, e.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, response.Status, data)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}

// name is the name of the index, which holds no path.
func (j job) name() string { return fmt.Sprintf("bench-%d-%s", j.N, j.Mode) }

func elasticIndex(ctx context.Context, job job) error {
	e, err := newElastic()
	if err != nil {
		return err
	}
	stop := []string{}
	if job.Mode == "stop" {
		if stop, err = stopWords(job.Stop); err != nil {
			return err
		}
	}
	_ = e.call(ctx, http.MethodDelete, "/"+job.name(), nil, nil) // it may not be there
	settings, err := json.Marshal(map[string]any{
		"settings": map[string]any{
			"number_of_shards": 1, "number_of_replicas": 0,
			"analysis": map[string]any{"analyzer": map[string]any{"text": map[string]any{"type": "standard", "stopwords": stop}}},
		},
		"mappings": map[string]any{"dynamic": false, "properties": map[string]any{
			"text": map[string]any{"type": "text", "analyzer": "text", "index_options": "freqs"},
		}},
	})
	if err != nil {
		return err
	}
	if err := e.call(ctx, http.MethodPut, "/"+job.name(), settings, nil); err != nil {
		return err
	}
	var bulk bytes.Buffer
	lines := 0
	// One request is on its way while the next is made.
	pending := make(chan error, 1)
	pending <- nil
	flush := func() error {
		if err := <-pending; err != nil || lines == 0 {
			pending <- nil
			return err
		}
		body := bytes.Clone(bulk.Bytes())
		bulk.Reset()
		lines = 0
		go func() {
			var answer struct{ Errors bool }
			err := e.call(ctx, http.MethodPost, "/"+job.name()+"/_bulk", body, &answer)
			if err == nil && answer.Errors {
				err = errors.New("bulk: some documents were refused")
			}
			pending <- err
		}()
		return nil
	}
	err = readLines(job.Corpus, func(d document) error {
		text, err := json.Marshal(map[string]string{"text": d.Text})
		if err != nil {
			return err
		}
		fmt.Fprintf(&bulk, `{"index":{"_id":%q}}`+"\n%s\n", d.ID, text)
		if lines++; lines == 2000 {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := errors.Join(flush(), <-pending); err != nil {
		return err
	}
	return e.call(ctx, http.MethodPost, "/"+job.name()+"/_refresh", nil, nil)
}

func elasticServe(ctx context.Context, job job) error {
	e, err := newElastic()
	if err != nil {
		return err
	}
	return serve(func(text string) ([]string, time.Duration, error) {
		start := time.Now()
		body, err := json.Marshal(map[string]any{
			"size": topK, "track_total_hits": false, "query": map[string]any{"match": map[string]any{"text": text}},
		})
		if err != nil {
			return nil, 0, err
		}
		var answer struct {
			Hits struct {
				Hits []struct {
					ID     string   `json:"_id"`
					Source document `json:"_source"`
				} `json:"hits"`
			} `json:"hits"`
		}
		err = e.call(ctx, http.MethodPost, "/"+job.name()+"/_search", body, &answer)
		took := time.Since(start)
		ids := make([]string, len(answer.Hits.Hits))
		for i, hit := range answer.Hits.Hits {
			ids[i] = hit.ID
		}
		return ids, took, err
	})
}

// elasticBytes returns the size of an index on disk.
func elasticBytes(ctx context.Context, job job) (int64, error) {
	e, err := newElastic()
	if err != nil {
		return 0, err
	}
	if err := e.call(ctx, http.MethodPost, "/"+job.name()+"/_flush", nil, nil); err != nil {
		return 0, err
	}
	var stats struct {
		All struct {
			Total struct {
				Store struct {
					Bytes int64 `json:"size_in_bytes"`
				} `json:"store"`
			} `json:"total"`
		} `json:"_all"`
	}
	err = e.call(ctx, http.MethodGet, "/"+job.name()+"/_stats/store", nil, &stats)
	return stats.All.Total.Store.Bytes, err
}

func stopWords(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	return strings.Fields(string(data)), err
}
