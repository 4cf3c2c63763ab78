package pipeline

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// YAML returns all settings, defaults included, as a configuration file that
// [ParseConfig] reads: a run can be done again from it. There are no secrets in
// it, for keys such as password_env only name where they are.
func (c *Config) YAML() ([]byte, error) {
	data, err := yaml.Marshal(settings(reflect.ValueOf(c).Elem()))
	if err != nil {
		return nil, fmt.Errorf("config: write as YAML: %w", err)
	}
	return data, nil
}

// settings turns a section into a mapping with the keys in order of the fields.
func settings(section reflect.Value) yaml.MapSlice {
	var list yaml.MapSlice
	for i := range section.NumField() {
		field := section.Type().Field(i)
		tag, ok := field.Tag.Lookup("yaml")
		name, option, _ := strings.Cut(tag, ",")
		value := section.Field(i)
		switch {
		case !ok || name == "-":
		case option == "inline":
			list = append(list, settings(value)...)
		case value.Kind() == reflect.Struct:
			list = append(list, yaml.MapItem{Key: name, Value: settings(value)})
		case value.Kind() == reflect.Map && value.Type().Elem().Kind() == reflect.Struct:
			if sections := mapOfSettings(value); len(sections) > 0 {
				list = append(list, yaml.MapItem{Key: name, Value: sections})
			}
		case (value.Kind() == reflect.Slice || value.Kind() == reflect.Map) && value.Len() == 0:
			// Written down, an empty list would differ from a missing one.
		default:
			list = append(list, yaml.MapItem{Key: name, Value: setting(value.Interface())})
		}
	}
	switch s := section.Addr().Interface().(type) {
	case *RetrieverSection:
		if s.Options != nil {
			list = append(list, settings(reflect.ValueOf(s.Options).Elem())...)
		}
	case *IngestSection:
		for _, name := range slices.Sorted(maps.Keys(s.Formats)) {
			if its := settings(reflect.ValueOf(s.Formats[name]).Elem()); len(its) > 0 {
				list = append(list, yaml.MapItem{Key: name, Value: its})
			}
		}
	}
	return list
}

// mapOfSettings turns named sections into a mapping in order of their names.
func mapOfSettings(sections reflect.Value) yaml.MapSlice {
	var list yaml.MapSlice
	for _, key := range sections.MapKeys() {
		section := reflect.New(sections.Type().Elem()).Elem() // values of a map have no address
		section.Set(sections.MapIndex(key))
		list = append(list, yaml.MapItem{Key: key.String(), Value: settings(section)})
	}
	slices.SortFunc(list, func(a, b yaml.MapItem) int { return strings.Compare(a.Key.(string), b.Key.(string)) })
	return list
}

func setting(value any) any {
	switch v := value.(type) {
	case time.Duration:
		return v.String()
	case ByteSize:
		return int64(v) // its text is rounded
	}
	return value
}
