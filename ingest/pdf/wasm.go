package pdf

// The instructions that the rewriting of a module knows by name.
const (
	opBlock     = 0x02
	opLoop      = 0x03
	opIf        = 0x04
	opEnd       = 0x0B
	opCall      = 0x10
	opDrop      = 0x1A
	opGlobalGet = 0x23
	opGlobalSet = 0x24
	opI64Store  = 0x37
	opI32Const  = 0x41
	opI64Const  = 0x42
	opI32Eqz    = 0x45
	opI32Sub    = 0x6B

	blockVoid = 0x40
)

// An input reads the binary form of WebAssembly. After something that it cannot
// be, bad is set and everything else is zero.
type input struct {
	data []byte
	at   int
	bad  bool
}

func (in *input) byte() byte {
	if in.at >= len(in.data) {
		in.bad = true
		return 0
	}
	in.at++
	return in.data[in.at-1]
}

func (in *input) bytes(n uint64) []byte {
	if in.bad || n > uint64(len(in.data)-in.at) {
		in.bad = true
		return nil
	}
	in.at += int(n)
	return in.data[in.at-int(n) : in.at]
}

func (in *input) rest() []byte { return in.data[in.at:] }

// u32 reads an unsigned number, which has at most five bytes.
func (in *input) u32() uint64 {
	n := uint64(0)
	for shift := 0; shift < 35; shift += 7 {
		b := in.byte()
		n |= uint64(b&0x7F) << shift
		if b < 0x80 {
			return n
		}
	}
	in.bad = true
	return 0
}

// skip passes over a number of any kind.
func (in *input) skip() {
	for range 10 {
		if in.byte() < 0x80 {
			return
		}
	}
	in.bad = true
}

func (in *input) skips(n int) {
	for range n {
		in.skip()
	}
}

// operands passes over what follows an instruction; see the WebAssembly core
// specification 2.0, section 5.4.
func (in *input) operands(op byte) {
	switch {
	case op == opBlock, op == opLoop, op == opIf:
		in.skip() // the type of the block
	case op == 0x0C, op == 0x0D, op == opCall, op == 0x12: // br, br_if, return_call
		in.skip()
	case op == 0x0E: // br_table
		in.labels()
	case op == 0x11, op == 0x13: // call_indirect
		in.skips(2)
	case op == 0x1C: // select with types
		in.bytes(in.u32())
	case op >= 0x20 && op <= 0x26: // variables and tables
		in.skip()
	case op >= 0x28 && op <= 0x3E: // loads and stores
		in.skips(2)
	case op == 0x3F, op == 0x40: // size of the memory
		in.skip()
	case op == opI32Const, op == opI64Const:
		in.skip()
	case op == 0x43: // f32.const
		in.bytes(4)
	case op == 0x44: // f64.const
		in.bytes(8)
	case op == 0xD0, op == 0xD2: // references
		in.skip()
	case op == 0xFC:
		in.bulk()
	case op == 0xFD:
		in.vector()
	case op <= 0x01, op == 0x05, op == opEnd, op == 0x0F, op == opDrop, op == 0x1B, op == 0xD1, op >= opI32Eqz && op <= 0xC4:
	default:
		in.bad = true
	}
}

func (in *input) labels() {
	for range in.u32() {
		if in.bad {
			return
		}
		in.skip()
	}
	in.skip()
}

// bulk passes over the rest of an instruction with the prefix FC.
func (in *input) bulk() {
	switch op := in.u32(); op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
	case 9, 11, 13, 15, 16, 17:
		in.skip()
	case 8, 10, 12, 14:
		in.skips(2)
	default:
		in.bad = true
	}
}

// vector passes over the rest of an instruction with the prefix FD.
func (in *input) vector() {
	switch op := in.u32(); {
	case op <= 11, op == 92, op == 93: // loads and the store
		in.skips(2)
	case op == 12, op == 13: // v128.const, i8x16.shuffle
		in.bytes(16)
	case op >= 21 && op <= 34: // lanes
		in.byte()
	case op >= 84 && op <= 91: // loads and stores of lanes
		in.skips(2)
		in.byte()
	case op > 275:
		in.bad = true
	}
}
