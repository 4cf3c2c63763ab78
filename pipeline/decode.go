package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A ByteSize is a number of bytes, written like 256MiB or 1000000.
type ByteSize int64

// UnmarshalYAML reads a number with an optional unit.
func (b *ByteSize) UnmarshalYAML(data []byte) error {
	n, err := humanize.ParseBytes(strings.Trim(strings.TrimSpace(string(data)), `"'`))
	if err != nil || n > 1<<62 {
		return errors.New("a size such as 256MiB or 1000000")
	}
	*b = ByteSize(n)
	return nil
}

func (b ByteSize) String() string { return humanize.IBytes(uint64(max(b, 0))) }

// decode reads YAML into c. The yaml library decodes the values; the walk over
// the keys is ours because a fault has to name the key, the value and what is
// allowed, and because all faults are collected.
func (c *Config) decode(data []byte) error {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return syntaxError(err)
	}
	if len(file.Docs) > 1 {
		return errors.New("more than one YAML document; allowed is one")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil
	}
	if _, ok := file.Docs[0].Body.(*ast.CommentGroupNode); ok {
		return nil
	}
	d := decoder{config: c}
	d.mapping(file.Docs[0].Body, reflect.ValueOf(c).Elem(), "")
	return errors.Join(d.faults...)
}

func syntaxError(err error) error {
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil {
		return fmt.Errorf("line %d: no valid YAML: %s", located.GetToken().Position.Line, located.GetMessage())
	}
	return fmt.Errorf("no valid YAML: %w", err)
}

type decoder struct {
	config *Config
	faults []error
}

func (d *decoder) fault(node ast.Node, format string, args ...any) {
	line := ""
	if token := node.GetToken(); token != nil && token.Position != nil {
		line = fmt.Sprintf("line %d: ", token.Position.Line)
	}
	d.faults = append(d.faults, errors.New(line+fmt.Sprintf(format, args...)))
}

// entries returns the pairs of a mapping; a mapping with one pair has a node
// type of its own.
func entries(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	case *ast.NullNode:
		return nil, true
	}
	return nil, false
}

func (d *decoder) mapping(node ast.Node, target reflect.Value, path string) {
	pairs, ok := entries(node)
	if !ok {
		d.fault(node, "%s: %s; allowed is a mapping of keys to values", cmp.Or(path, "the file"), brief(node))
		return
	}
	fields := d.fields(target, pairs, path)
	seen := make(map[string]bool)
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		full := strings.TrimPrefix(path+"."+key, ".")
		field, ok := fields[key]
		switch {
		case seen[key]:
			d.fault(pair, "%s: given twice", full)
		case !ok:
			d.fault(pair, "%s: unknown key; allowed are %s", full, names(fields))
		case field.Kind() == reflect.Struct:
			d.mapping(pair.Value, field, full)
		case field.Kind() == reflect.Map && field.Type().Elem().Kind() == reflect.Struct:
			d.sections(pair.Value, field, full)
		default:
			d.value(pair.Value, field, full)
		}
		seen[key] = true
	}
}

// sections decodes a mapping of names to sections of one kind.
func (d *decoder) sections(node ast.Node, target reflect.Value, path string) {
	pairs, ok := entries(node)
	if !ok {
		d.fault(node, "%s: %s; allowed is a mapping of names to settings", path, brief(node))
		return
	}
	all := reflect.MakeMap(target.Type())
	for _, pair := range pairs {
		name := pair.Key.GetToken().Value
		section := reflect.New(target.Type().Elem()).Elem()
		d.mapping(pair.Value, section, path+"."+name)
		all.SetMapIndex(reflect.ValueOf(name), section)
	}
	target.Set(all)
}

// fields returns the settable fields of a struct by key. For the retriever the
// keys of its type are added, which is decoded first.
func (d *decoder) fields(target reflect.Value, pairs []*ast.MappingValueNode, path string) map[string]reflect.Value {
	fields := make(map[string]reflect.Value)
	collect(target, fields)
	if section, ok := target.Addr().Interface().(*IngestSection); ok {
		section.addTo(fields)
	}
	section, ok := target.Addr().Interface().(*RetrieverSection)
	if !ok {
		return fields
	}
	for _, pair := range pairs {
		if pair.Key.GetToken().Value != "type" {
			continue
		}
		typ := pair.Value.GetToken().Value
		newOptions, known := d.config.registry.retrievers[typ]
		if !known {
			// Validate reports the type; the keys of an unknown type cannot be
			// checked.
			section.Options = nil
			for _, p := range pairs {
				fields[p.Key.GetToken().Value] = reflect.ValueOf(new(any)).Elem()
			}
			fields["type"] = reflect.ValueOf(&section.Type).Elem()
			return fields
		}
		section.Options = newOptions()
	}
	if section.Options != nil {
		collect(reflect.ValueOf(section.Options).Elem(), fields)
	}
	return fields
}

func collect(target reflect.Value, fields map[string]reflect.Value) {
	for i := range target.NumField() {
		tag, ok := target.Type().Field(i).Tag.Lookup("yaml")
		name, option, _ := strings.Cut(tag, ",")
		switch {
		case !ok || name == "-":
		case option == "inline":
			collect(target.Field(i), fields)
		default:
			fields[name] = target.Field(i)
		}
	}
}

func (d *decoder) value(node ast.Node, field reflect.Value, path string) {
	if _, null := node.(*ast.NullNode); null {
		d.fault(node, "%s: no value; allowed is %s", path, describe(field.Type()))
		return
	}
	into := reflect.New(field.Type())
	// The library turns numbers into strings and floats into ints silently, so
	// that top_k: 1.5 would become 1.
	if !fits(node, field.Type()) {
		d.fault(node, "%s: %s; allowed is %s", path, brief(node), describe(field.Type()))
		return
	}
	if err := yaml.NodeToValue(node, into.Interface()); err != nil {
		d.fault(node, "%s: %s; allowed is %s", path, brief(node), describe(field.Type()))
		return
	}
	field.Set(into.Elem())
}

func fits(node ast.Node, typ reflect.Type) bool {
	if typ == reflect.TypeFor[RankerType]() {
		return slices.Contains([]ast.NodeType{ast.StringType, ast.SequenceType}, node.Type())
	}
	switch typ.Kind() {
	case reflect.Int, reflect.Int64:
		if typ.Name() == "Duration" || typ.Name() == "ByteSize" {
			return true
		}
		return node.Type() == ast.IntegerType
	case reflect.Float64:
		return node.Type() == ast.IntegerType || node.Type() == ast.FloatType
	case reflect.String:
		return slices.Contains([]ast.NodeType{ast.StringType, ast.LiteralType}, node.Type())
	case reflect.Bool:
		return node.Type() == ast.BoolType
	}
	return true
}

func describe(typ reflect.Type) string {
	switch {
	case typ.Name() == "Duration":
		return "a duration such as 300ms or 30s"
	case typ.Name() == "ByteSize":
		return "a size such as 256MiB or 1000000"
	case typ == reflect.TypeFor[RankerType]():
		return allowedRankers()
	}
	switch typ.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "a mapping"
	}
	return "a text"
}

func brief(node ast.Node) string {
	s := strings.Join(strings.Fields(node.String()), " ")
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "..."
	}
	return s
}
