package eval

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// jsonPath returns the path of the value that the decoder had reached at a
// byte offset, for example data[0].paragraphs. encoding/json names the fields
// of a type error but not the positions in arrays, without which the fault in
// a long file cannot be found.
func jsonPath(raw []byte, offset int64) string {
	type level struct {
		array bool
		index int    // in an array: position of the current element
		key   string // in an object: key of the current value
		value bool   // in an object: the next token is a value
	}
	var stack []*level
	path := func() string {
		var b strings.Builder
		for _, l := range stack {
			switch {
			case l.array:
				b.WriteString("[" + strconv.Itoa(l.index) + "]")
			case l.key != "":
				if b.Len() > 0 {
					b.WriteByte('.')
				}
				b.WriteString(l.key)
			}
		}
		return b.String()
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := decoder.Token()
		if err != nil {
			return path()
		}
		closing := token == json.Delim('}') || token == json.Delim(']')
		if closing {
			stack = stack[:len(stack)-1]
		} else if len(stack) > 0 {
			top := stack[len(stack)-1]
			switch {
			case top.array:
				top.index++
			case !top.value:
				top.key, _ = token.(string)
				top.value = true
				continue
			default:
				top.value = false
			}
		}
		if decoder.InputOffset() >= offset {
			return path()
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, &level{})
		case json.Delim('['):
			stack = append(stack, &level{array: true, index: -1})
		}
	}
}
