package weights

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/needle-search/needle/models"
)

// Write returns a safetensors file that [Read] reads back to the same tensors.
// Equal tensors give equal bytes.
func Write(tensors map[string]models.Tensor) ([]byte, error) {
	header := map[string]map[string]any{}
	var body []byte
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t, from := tensors[name], len(body)
		count := 1
		for _, n := range t.Shape {
			count *= n
		}
		if count != len(t.Data) {
			return nil, fmt.Errorf("weights: tensor %q has shape %v and %d values", name, t.Shape, len(t.Data))
		}
		for i, v := range t.Data {
			if v != v || math.IsInf(float64(v), 0) {
				return nil, fmt.Errorf("weights: tensor %q: value %d is %v", name, i, v)
			}
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(v))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": append([]int{}, t.Shape...), "data_offsets": []int{from, len(body)}}
	}
	head, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	for len(head)%8 != 0 {
		head = append(head, ' ')
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head, body), nil
}
