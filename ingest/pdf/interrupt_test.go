package pdf

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// spin is a module whose function "spin" never returns:
//
//	(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
//	(func (export "spin") (loop (br 0)))
const spin = "\x00asm\x01\x00\x00\x00" +
	"\x01\x0c\x02\x60\x00\x00\x60\x04\x7f\x7f\x7f\x7f\x01\x7f" + // types
	"\x02\x23\x01\x16wasi_snapshot_preview1\x08fd_write\x00\x01" + // imports
	"\x03\x02\x01\x00" + // functions
	"\x05\x03\x01\x00\x01" + // a memory
	"\x06\x06\x01\x7f\x00\x41\x00\x0b" + // a global
	"\x07\x11\x02\x04spin\x00\x01\x06memory\x02\x00" + // exports
	"\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b" // code

// stopper is a writer that ends the program at its third write.
type stopper struct{ writes int }

func (s *stopper) Write(p []byte) (int, error) {
	if s.writes++; s.writes == 3 {
		panic(errStopped)
	}
	return len(p), nil
}

func TestInterruptibleStopsALoop(t *testing.T) {
	module, loops, err := interruptible([]byte(spin))
	if err != nil || loops != 1 {
		t.Fatalf("got %d loops and error %v, want 1", loops, err)
	}
	ctx := t.Context()
	runtime := wazero.NewRuntime(ctx)
	defer func() { _ = runtime.Close(context.Background()) }()
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	out := &stopper{}
	running, err := runtime.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStdout(out))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := running.ExportedFunction("spin").Call(ctx); !errors.Is(err, errStopped) {
		t.Errorf("got error %v, want errStopped", err)
	}
}

// TestInterruptiblePDFium asserts that the library still gives its module, and
// that nothing in it is unknown.
func TestInterruptiblePDFium(t *testing.T) {
	module, loops, err := interruptible(pdfiumWasm)
	if err != nil {
		t.Fatal(err)
	}
	if loops < 1000 || len(module) < len(pdfiumWasm)+5*loops {
		t.Errorf("found %d loops, and %d bytes became %d", loops, len(pdfiumWasm), len(module))
	}
}

func TestInterruptibleRefuses(t *testing.T) {
	cases := []struct {
		name, module string
	}{
		{"nothing", ""},
		{"another version", "\x00asm\x02\x00\x00\x00"},
		{"no code", "\x00asm\x01\x00\x00\x00"},
		{"a section that ends early", spin[:len(spin)-3]},
		{"an unknown instruction", spin[:len(spin)-4] + "\x06\x00\x0b\x0b"},
		{"a number without end", "\x00asm\x01\x00\x00\x00\x01\x80\x80\x80\x80\x80\x80"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := interruptible([]byte(c.module)); !errors.Is(err, errModule) {
				t.Errorf("got error %v, want errModule", err)
			}
		})
	}
}

// FuzzInterruptible asserts that no module makes the rewriter panic or run on.
func FuzzInterruptible(f *testing.F) {
	f.Add([]byte(spin))
	f.Fuzz(func(t *testing.T, module []byte) {
		out, loops, err := interruptible(module)
		if err == nil && (loops < 0 || !bytes.HasPrefix(out, []byte("\x00asm"))) {
			t.Errorf("got %d loops in %x", loops, out)
		}
	})
}
