package retriever

import "time"

// A StoredValue is a metadata value in a form that keeps its Go type through
// JSON. Exactly one field is set.
type StoredValue struct {
	String *string    `json:"s,omitempty"`
	List   *[]string  `json:"l,omitempty"`
	Int    *int64     `json:"i,omitempty"`
	Float  *float64   `json:"f,omitempty"`
	Bool   *bool      `json:"b,omitempty"`
	Time   *time.Time `json:"t,omitempty"`
}

// EncodeMetadata returns the stored form of valid metadata, nil if there is
// none.
func EncodeMetadata(metadata map[string]any) map[string]StoredValue {
	if len(metadata) == 0 {
		return nil
	}
	encoded := make(map[string]StoredValue, len(metadata))
	for key, value := range metadata {
		encoded[key] = storedValue(value)
	}
	return encoded
}

func storedValue(value any) StoredValue {
	switch v := value.(type) {
	case string:
		return StoredValue{String: &v}
	case []string:
		if v == nil {
			// JSON would read null back as no value at all.
			v = []string{}
		}
		return StoredValue{List: &v}
	case int64:
		return StoredValue{Int: &v}
	case float64:
		return StoredValue{Float: &v}
	case bool:
		return StoredValue{Bool: &v}
	case time.Time:
		return StoredValue{Time: &v}
	}
	return StoredValue{}
}

// DecodeMetadata is the inverse of [EncodeMetadata].
func DecodeMetadata(encoded map[string]StoredValue) map[string]any {
	if len(encoded) == 0 {
		return nil
	}
	metadata := make(map[string]any, len(encoded))
	for key, value := range encoded {
		metadata[key] = value.value()
	}
	return metadata
}

func (v StoredValue) value() any {
	switch {
	case v.String != nil:
		return *v.String
	case v.List != nil:
		return *v.List
	case v.Int != nil:
		return *v.Int
	case v.Float != nil:
		return *v.Float
	case v.Bool != nil:
		return *v.Bool
	case v.Time != nil:
		return *v.Time
	}
	return nil
}
