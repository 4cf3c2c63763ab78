package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A field is the value of one protocol buffer field: a number, or bytes that
// point into the message.
type field struct {
	number uint64
	bytes  []byte // nil for numbers
}

var errTruncated = errors.New("the file is cut off or damaged")

// fields calls visit for every field of a protocol buffer message, in order.
func fields(message []byte, visit func(number int, value field) error) error {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return errTruncated
		}
		message = message[n:]
		var value field
		size := 0
		switch wire := tag & 7; wire {
		case 0:
			value.number, size = binary.Uvarint(message)
			if size <= 0 {
				return errTruncated
			}
		case 1:
			size = 8
		case 5:
			size = 4
		case 2:
			length, n := binary.Uvarint(message)
			if n <= 0 || length > uint64(len(message)-n) {
				return errTruncated
			}
			size = n + int(length)
			value.bytes = message[n:size:size]
		default:
			return fmt.Errorf("%w: wire type %d", errTruncated, wire)
		}
		if size > len(message) {
			return errTruncated
		}
		number := tag >> 3
		if number == 0 || number > 1<<29-1 {
			return fmt.Errorf("%w: field number %d", errTruncated, number)
		}
		if err := visit(int(number), value); err != nil {
			return err
		}
		message = message[size:]
	}
	return nil
}
