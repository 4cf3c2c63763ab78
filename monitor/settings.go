package monitor

import (
	"maps"
	"slices"
	"strings"
)

// A SettingChange is a line of two configurations that differs; one side is
// empty where the key is missing.
type SettingChange struct {
	Key string `json:"key"`
	A   string `json:"a"`
	B   string `json:"b"`
}

// settingChanges compares two configurations as pipeline.Config.YAML writes
// them: one key a line, indented under its section.
func settingChanges(a, b string) []SettingChange {
	valuesA, valuesB := flatten(a), flatten(b)
	keys := maps.Clone(valuesA)
	maps.Copy(keys, valuesB)
	var changes []SettingChange
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if valuesA[key] != valuesB[key] {
			changes = append(changes, SettingChange{key, valuesA[key], valuesB[key]})
		}
	}
	return changes
}

// flatten returns the values by dotted key. List items, which begin with a
// dash, belong to the key before them.
func flatten(text string) map[string]string {
	values := make(map[string]string)
	var path []string
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "- ") {
			key := strings.Join(path, ".")
			values[key] = strings.TrimSpace(values[key] + " " + trimmed)
			continue
		}
		key, value, ok := strings.Cut(trimmed, ":")
		if !ok {
			continue
		}
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		path = append(path[:min(depth, len(path))], key)
		values[strings.Join(path, ".")] = strings.TrimSpace(value)
	}
	return values
}
