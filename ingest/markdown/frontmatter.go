package markdown

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

// maxFrontMatter bounds what is handed to the YAML parser.
const maxFrontMatter = 64 << 10

// frontMatter is the YAML mapping at the start of a file.
type frontMatter map[string]any

// cutFrontMatter separates the front matter from the Markdown. A block that is
// no YAML mapping is part of the text: three dashes are also a line across.
func cutFrontMatter(source string) (frontMatter, string) {
	first, rest, ok := strings.Cut(source, "\n")
	if !ok || strings.TrimRight(first, " \t\r") != "---" {
		return nil, source
	}
	end := 0
	for end < len(rest) && end < maxFrontMatter {
		line, _, found := strings.Cut(rest[end:], "\n")
		next := end + len(line)
		if found {
			next++
		}
		if mark := strings.TrimRight(line, " \t\r"); mark == "---" || mark == "..." {
			var matter frontMatter
			if err := yaml.Unmarshal([]byte(rest[:end]), &matter); err != nil {
				return nil, source
			}
			return matter, rest[next:]
		}
		end = next
	}
	return nil, source
}

// apply fills the document. Wrong groups are an error, because without them
// everybody could see the document.
func (m frontMatter) apply(doc *retriever.Document) error {
	for key, value := range m {
		switch strings.ToLower(key) {
		case "title":
			if value != nil {
				doc.Title = fmt.Sprint(value)
			}
		case "lang", "language":
			if s, ok := value.(string); ok {
				doc.Language = s
			}
		case "groups":
			groups, ok := stringList(value)
			if !ok || len(groups) == 0 {
				return fmt.Errorf("front matter: groups is %v, want a name or a list of names", value)
			}
			doc.Groups = groups
		default:
			if doc.Metadata == nil {
				doc.Metadata = map[string]any{}
			}
			addValue(doc.Metadata, key, value)
		}
	}
	if len(doc.Metadata) == 0 {
		doc.Metadata = nil
	}
	return nil
}

// addValue adds a value to the metadata. The keys of nested mappings are joined
// with dots; what metadata cannot hold is kept as its JSON text.
func addValue(metadata map[string]any, key string, value any) {
	switch v := value.(type) {
	case nil:
	case bool, int64, float64, time.Time:
		metadata[key] = v
	case int:
		metadata[key] = int64(v)
	case string:
		metadata[key] = ingest.StringValue(v)
	case map[string]any:
		for k, nested := range v {
			addValue(metadata, key+"."+k, nested)
		}
	case frontMatter:
		for k, nested := range v {
			addValue(metadata, key+"."+k, nested)
		}
	default:
		if list, ok := stringList(value); ok {
			metadata[key] = list
		} else if text, err := json.Marshal(value); err == nil {
			metadata[key] = string(text)
		} else {
			metadata[key] = fmt.Sprint(value)
		}
	}
}

// stringList turns a string or a list of scalars into a list of strings.
func stringList(value any) ([]string, bool) {
	if s, ok := value.(string); ok && s != "" {
		return []string{s}, true
	}
	items, ok := value.([]any)
	if !ok {
		return nil, false
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		switch item := item.(type) {
		case string:
			if item == "" {
				return nil, false
			}
			list = append(list, item)
		case int, int64, uint64, float64, bool:
			list = append(list, fmt.Sprint(item))
		case time.Time:
			list = append(list, item.Format(time.DateOnly))
		default:
			return nil, false
		}
	}
	return list, true
}
