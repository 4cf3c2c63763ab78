package pipeline_test

import (
	"reflect"
	"testing"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

func TestConfigYAMLReadsBack(t *testing.T) {
	for name, text := range map[string]string{
		"defaults":      "",
		"bleve":         "data: /srv/needle\nretriever: {type: bleve, k1: 0.9, top_k: 50}\nlimits: {timeout: 90s, max_document_bytes: 1000001}\n",
		"elasticsearch": "retriever: {type: elastic, addresses: [\"http://127.0.0.1:9200\"]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			config, err := pipeline.ParseConfig("first", []byte(text), builtin.Registry())
			if err != nil {
				t.Fatal(err)
			}
			data, err := config.YAML()
			if err != nil {
				t.Fatal(err)
			}
			again, err := pipeline.ParseConfig("second", data, builtin.Registry())
			if err != nil {
				t.Fatalf("%v in\n%s", err, data)
			}
			second, err := again.YAML()
			if err != nil || string(second) != string(data) {
				t.Errorf("written again (%v):\n%s\nwant\n%s", err, second, data)
			}
			if !reflect.DeepEqual(config.Retriever, again.Retriever) || config.Limits != again.Limits {
				t.Errorf("read back %+v, want %+v", again.Retriever, config.Retriever)
			}
		})
	}
}
