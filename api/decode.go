package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// maxDepth bounds the nesting of bodies: filters nest 16 deep, with an object
// and a list on each level.
const maxDepth = 40

// decodeJSON decodes one JSON object strictly. Beyond what encoding/json
// refuses, these are errors: unknown keys (also those that differ in case
// only), duplicate keys, null, text that is not UTF-8, NUL characters, halves
// of surrogate pairs, deep nesting, and anything after the object. With
// exactNumbers, numbers in untyped places become json.Number.
func decodeJSON(data []byte, target any, exactNumbers bool) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return invalidBody("The body is empty; a JSON object is expected.")
	}
	if i := invalidUTF8(data); i >= 0 {
		return fmt.Errorf("%w: the body is not UTF-8 at byte %d", pipeline.ErrInvalidText, i)
	}
	if i := loneSurrogate(data); i >= 0 {
		return fmt.Errorf("%w: the body has half a surrogate pair at byte %d", pipeline.ErrInvalidText, i)
	}
	w := walker{decoder: json.NewDecoder(bytes.NewReader(data))}
	w.decoder.UseNumber()
	token, err := w.next()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return invalidBody("The body is " + describe(token) + "; a JSON object is expected.")
	}
	if err := w.value(token, reflect.TypeOf(target).Elem(), "", 0); err != nil {
		return err
	}
	if _, err := w.decoder.Token(); !errors.Is(err, io.EOF) {
		return invalidBody("There is text after the JSON object.")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if exactNumbers {
		decoder.UseNumber()
	}
	if err := decoder.Decode(target); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			return invalidBody(fmt.Sprintf("%s: %s does not fit.", wrongType.Field, wrongType.Value))
		}
		return invalidBody("The body cannot be read: " + strings.TrimPrefix(err.Error(), "json: ") + ".")
	}
	return nil
}

func invalidBody(detail string) error { return problemError{wire.CodeInvalidBody, detail} }

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// loneSurrogate finds an escape such as \ud800 that stands for no character;
// encoding/json would put U+FFFD in its place without a word.
func loneSurrogate(data []byte) int {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++ // past the escaped character, which may be a backslash
		switch unit := escapedUnit(data, i); {
		case unit >= 0xd800 && unit < 0xdc00:
			low := -1
			if i+5 < len(data) && data[i+5] == '\\' {
				low = escapedUnit(data, i+6)
			}
			if low < 0xdc00 || low > 0xdfff {
				return i - 1
			}
			i += 10
		case unit >= 0xdc00 && unit <= 0xdfff:
			return i - 1
		}
	}
	return -1
}

// escapedUnit returns the UTF-16 unit of uXXXX at a position, -1 if there is
// none.
func escapedUnit(data []byte, at int) int {
	if at+5 > len(data) || data[at] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(data[at+1:at+5]), 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

// A walker checks the tokens of a body against the type that it will be
// decoded into.
type walker struct{ decoder *json.Decoder }

func (w *walker) next() (json.Token, error) {
	token, err := w.decoder.Token()
	if err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, invalidBody("The JSON ends early.")
		case errors.As(err, &syntax):
			return nil, invalidBody(fmt.Sprintf("The JSON is broken at byte %d: %s.", syntax.Offset, syntax))
		}
		return nil, invalidBody("The JSON is broken: " + err.Error() + ".")
	}
	return token, nil
}

// value checks a value whose first token was read. A nil type takes anything.
func (w *walker) value(token json.Token, typ reflect.Type, path string, depth int) error {
	if depth > maxDepth {
		return invalidBody(fmt.Sprintf("%s: nested deeper than %d.", clip(path), maxDepth))
	}
	for typ != nil && typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	// A facet may be a string; as an object it is checked like any other.
	asObject := typ == reflect.TypeFor[retriever.FacetRequest]() && token == json.Delim('{')
	if typ != nil && !asObject && (typ.Kind() == reflect.Interface || reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Unmarshaler]())) {
		typ = nil
	}
	if token == nil {
		return invalidBody(path + ": is null; leave the key out instead.")
	}
	if s, ok := token.(string); ok && strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%w: %s holds a NUL character", pipeline.ErrInvalidText, clip(path))
	}
	if typ != nil {
		if expected := mismatch(token, typ); expected != "" {
			return invalidBody(fmt.Sprintf("%s: is %s; %s is expected.", clip(path), describe(token), expected))
		}
	}
	switch token {
	case json.Delim('{'):
		return w.object(typ, path, depth)
	case json.Delim('['):
		return w.list(typ, path, depth)
	}
	return nil
}

func (w *walker) object(typ reflect.Type, path string, depth int) error {
	var known map[string]reflect.Type
	var element reflect.Type
	switch {
	case typ == nil:
	case typ.Kind() == reflect.Struct:
		known = fields(typ)
	default:
		element = typ.Elem()
	}
	seen := make(map[string]bool)
	for {
		token, err := w.next()
		if err != nil {
			return err
		}
		if token == json.Delim('}') {
			return nil
		}
		key, _ := token.(string)
		inner := join(path, key)
		if strings.IndexByte(key, 0) >= 0 {
			return fmt.Errorf("%w: a key of %q holds a NUL character", pipeline.ErrInvalidText, path)
		}
		if seen[key] {
			return invalidBody(clip(inner) + ": is given twice.")
		}
		seen[key] = true
		child := element
		if known != nil {
			var ok bool
			if child, ok = known[key]; !ok {
				return invalidBody(fmt.Sprintf("%s: unknown key; allowed: %s.", clip(inner), keys(typ)))
			}
		}
		if token, err = w.next(); err != nil {
			return err
		}
		if err := w.value(token, child, inner, depth+1); err != nil {
			return err
		}
	}
}

func (w *walker) list(typ reflect.Type, path string, depth int) error {
	var element reflect.Type
	if typ != nil {
		element = typ.Elem()
	}
	for i := 0; ; i++ {
		token, err := w.next()
		if err != nil {
			return err
		}
		if token == json.Delim(']') {
			return nil
		}
		if err := w.value(token, element, path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
			return err
		}
	}
}

// fields returns the JSON keys of a struct and their types.
func fields(typ reflect.Type) map[string]reflect.Type {
	known := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(typ) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" && f.IsExported() {
			known[name] = f.Type
		}
	}
	return known
}

// keys lists the JSON keys of a struct in order of declaration.
func keys(typ reflect.Type) string {
	var names []string
	for _, f := range reflect.VisibleFields(typ) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" && f.IsExported() {
			names = append(names, name)
		}
	}
	return listOrNone(names)
}

// mismatch returns what a type expects, or nothing if the token fits.
func mismatch(token json.Token, typ reflect.Type) string {
	fits, expected := false, ""
	switch typ.Kind() {
	case reflect.String:
		_, fits = token.(string)
		expected = "a string"
	case reflect.Bool:
		_, fits = token.(bool)
		expected = "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		number, ok := token.(json.Number)
		_, err := strconv.ParseInt(string(number), 10, 64)
		fits, expected = ok && err == nil, "an integer"
	case reflect.Float64:
		_, fits = token.(json.Number)
		expected = "a number"
	case reflect.Slice:
		fits, expected = token == json.Delim('['), "a list"
	case reflect.Struct, reflect.Map:
		fits, expected = token == json.Delim('{'), "an object"
	}
	if fits {
		return ""
	}
	return expected
}

func describe(token json.Token) string {
	switch t := token.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "the number " + clip(string(t))
	case json.Delim:
		if t == '[' {
			return "a list"
		}
	}
	return "an object"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// clip keeps what a stranger sent from filling an error message.
func clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}
