package pdf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errModule says that a WebAssembly module holds something that interruptible
// does not know.
var errModule = errors.New("unknown form of WebAssembly")

// loopsBetweenChecks is how many rounds of loops run between two checks. A
// round takes some nanoseconds, so that checks come every few hundred
// microseconds at most and cost nothing that can be measured.
const loopsBetweenChecks = 1 << 16

// checkAddress is where the check keeps the arguments of its write. C programs
// never use the first bytes of their memory, so that nil stays special.
const checkAddress = 16

// interruptible rewrites a WebAssembly module so that its loops count their
// rounds and, after [loopsBetweenChecks] of them, write nothing at all to
// standard output. A writer there is called while the module is in the middle of
// something, and may end it with a panic.
//
// wazero has a check of its own, WithCloseOnContextDone, but leaves the compiled
// code at every round of every loop for it, which makes PDFium three times as
// slow. Without any check, code that does not return could not be stopped, and
// would block the garbage collector, which waits for all running code.
func interruptible(module []byte) (rewritten []byte, loops int, err error) {
	w := rewriter{module: module}
	if err := w.run(); err != nil {
		return nil, 0, fmt.Errorf("pdf: rewrite module: %w", err)
	}
	return w.out, w.loops, nil
}

// The sections of a module that are changed; see the WebAssembly core
// specification 2.0, section 5.5.
const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionGlobal   = 6
	sectionCode     = 10
)

type rewriter struct {
	module []byte
	out    []byte
	loops  int

	types                     uint64 // how many there are, so the index of the one added
	imports, own              uint64 // functions
	globals                   uint64 // the last one is the counter
	write                     uint64 // the index of fd_write
	hasWrite, counts, changed bool
}

func (w *rewriter) run() error {
	const header = "\x00asm\x01\x00\x00\x00"
	if len(w.module) < len(header) || string(w.module[:len(header)]) != header {
		return fmt.Errorf("%w: no module of version 1", errModule)
	}
	w.out = append(make([]byte, 0, len(w.module)+len(w.module)/4), header...)
	in := input{data: w.module, at: len(header)}
	for in.at < len(in.data) {
		id := in.byte()
		body := input{data: in.bytes(in.u32())}
		if in.bad {
			return fmt.Errorf("%w: a section ends early", errModule)
		}
		content, err := w.section(id, &body)
		if err != nil {
			return err
		}
		w.out = append(w.out, id)
		w.out = binary.AppendUvarint(w.out, uint64(len(content)))
		w.out = append(w.out, content...)
	}
	if !w.changed {
		return fmt.Errorf("%w: it has no code", errModule)
	}
	return nil
}

// section returns the new content of a section.
func (w *rewriter) section(id byte, in *input) ([]byte, error) {
	switch id {
	case sectionImport:
		w.readImports(in)
	case sectionType:
		w.types = in.u32()
		// A function without arguments and results.
		return append(prepend(w.types+1, in.rest()), 0x60, 0, 0), nil
	case sectionFunction:
		w.own = in.u32()
		return binary.AppendUvarint(prepend(w.own+1, in.rest()), w.types), nil
	case sectionGlobal:
		count := in.u32()
		w.globals += count + 1
		w.counts = true
		return append(appendConst(append(prepend(count+1, in.rest()), 0x7F, 1), loopsBetweenChecks), opEnd), nil
	case sectionCode:
		if w.types == 0 || w.own == 0 || !w.counts || !w.hasWrite {
			return nil, fmt.Errorf("%w: it lacks functions, globals or fd_write", errModule)
		}
		w.changed = true
		return w.code(in)
	}
	if in.bad {
		return nil, fmt.Errorf("%w: section %d", errModule, id)
	}
	return in.data, nil
}

func (w *rewriter) readImports(in *input) {
	for range in.u32() {
		module, name := string(in.bytes(in.u32())), string(in.bytes(in.u32()))
		switch in.byte() {
		case 0: // function
			if module == "wasi_snapshot_preview1" && name == "fd_write" {
				w.write, w.hasWrite = w.imports, true
			}
			in.u32()
			w.imports++
		case 3: // global
			in.bytes(2)
			w.globals++
		default: // PDFium brings its memory and table
			in.bad = true
		}
		if in.bad {
			return
		}
	}
}

// code rewrites all functions and adds the one that checks.
func (w *rewriter) code(in *input) ([]byte, error) {
	counter := w.globals - 1
	var round []byte // at the start of every loop
	round = appendIndex(round, opGlobalGet, counter)
	round = appendConst(round, 1)
	round = append(round, opI32Sub)
	round = appendIndex(round, opGlobalSet, counter)
	round = appendIndex(round, opGlobalGet, counter)
	round = append(round, opI32Eqz, opIf, blockVoid)
	round = appendIndex(round, opCall, w.imports+w.own)
	round = append(round, opEnd)

	count := in.u32()
	out := prepend(count+1, nil)
	var body []byte
	for range count {
		old := input{data: in.bytes(in.u32())}
		var err error
		if body, err = w.function(body[:0], &old, round); err != nil {
			return nil, err
		}
		out = binary.AppendUvarint(out, uint64(len(body)))
		out = append(out, body...)
	}
	if in.bad || in.at != len(in.data) {
		return nil, fmt.Errorf("%w: the code ends early", errModule)
	}

	check := appendConst([]byte{0}, loopsBetweenChecks) // no local variables
	check = appendIndex(check, opGlobalSet, counter)
	// One piece of nothing: fd_write(1, {address 0, length 0}, 1, &written).
	check = appendConst(check, checkAddress)
	check = append(check, opI64Const, 0, opI64Store, 3, 0)
	for _, argument := range []int64{1, checkAddress, 1, checkAddress + 8} {
		check = appendConst(check, argument)
	}
	check = appendIndex(check, opCall, w.write)
	check = append(check, opDrop, opEnd)
	out = binary.AppendUvarint(out, uint64(len(check)))
	return append(out, check...), nil
}

// function copies the body of a function and adds a round to every loop.
func (w *rewriter) function(out []byte, in *input, round []byte) ([]byte, error) {
	for range in.u32() { // local variables
		in.u32()
		in.byte()
		if in.bad {
			break
		}
	}
	copied := 0
	for in.at < len(in.data) && !in.bad {
		op := in.byte()
		in.operands(op)
		if op == opLoop {
			w.loops++
			out = append(append(out, in.data[copied:in.at]...), round...)
			copied = in.at
		}
	}
	if in.bad {
		return nil, fmt.Errorf("%w: an instruction", errModule)
	}
	return append(out, in.data[copied:]...), nil
}

func prepend(count uint64, rest []byte) []byte {
	return append(binary.AppendUvarint(make([]byte, 0, len(rest)+16), count), rest...)
}

func appendIndex(out []byte, op byte, index uint64) []byte {
	return binary.AppendUvarint(append(out, op), index)
}

// appendConst adds an i32.const.
func appendConst(out []byte, n int64) []byte {
	out = append(out, opI32Const)
	for {
		b := byte(n & 0x7F)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}
