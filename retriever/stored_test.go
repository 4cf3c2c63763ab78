package retriever_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
)

func TestStoredMetadata(t *testing.T) {
	for name, test := range map[string]struct{ in, want map[string]any }{
		"none":     {nil, nil},
		"empty":    {map[string]any{}, nil},
		"nil list": {map[string]any{"l": []string(nil)}, map[string]any{"l": []string{}}},
		"all types": {
			map[string]any{"s": "", "l": []string{"a", ""}, "i": int64(1) << 62, "f": 1.0, "b": false, "t": time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)},
			map[string]any{"s": "", "l": []string{"a", ""}, "i": int64(1) << 62, "f": 1.0, "b": false, "t": time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(retriever.EncodeMetadata(test.in))
			if err != nil {
				t.Fatal(err)
			}
			var stored map[string]retriever.StoredValue
			if err := json.Unmarshal(data, &stored); err != nil {
				t.Fatal(err)
			}
			if got := retriever.DecodeMetadata(stored); !reflect.DeepEqual(got, test.want) {
				t.Errorf("metadata = %#v, want %#v (as %s)", got, test.want, data)
			}
		})
	}
}

func TestValidStoredName(t *testing.T) {
	for name, valid := range map[string]bool{
		"a": true, "a.restore": true, "a-b_c.rebuild": true, ".restore": false, "a.b": false, "a.restore.rebuild": false, "A.restore": false, "": false,
	} {
		if err := retriever.ValidStoredName(name); (err == nil) != valid {
			t.Errorf("ValidStoredName(%q) = %v, want valid: %v", name, err, valid)
		}
	}
	if err := retriever.ValidIndexName(retriever.StandIn("a", retriever.Restoring)); err == nil {
		t.Error("a stand-in has a name that an index may have")
	}
}
