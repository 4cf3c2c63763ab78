package ort

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
)

// What the header of a shared library says, in the words of GOOS and GOARCH.
type format struct{ system, architecture string }

func (f format) String() string { return f.system + " on " + f.architecture }

var errNoLibrary = errors.New("the file is no shared library")

// checkFormat refuses a library for another machine: the dynamic linker would
// too, but in words that help nobody.
func checkFormat(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	formats, err := readFormats(f)
	if err != nil {
		return err
	}
	this := format{family(runtime.GOOS), runtime.GOARCH}
	if !slices.Contains(formats, this) {
		return fmt.Errorf("it is built for %v; this program needs one for %v", formats, this)
	}
	return nil
}

// family groups the systems whose libraries have the same format.
func family(system string) string {
	switch system {
	case "darwin", "windows":
		return system
	}
	return "linux"
}

// readFormats returns what a library runs on: one entry, or several for a
// universal library of macOS.
func readFormats(r io.ReaderAt) ([]format, error) {
	if f, err := elf.NewFile(r); err == nil {
		return []format{{"linux", elfArchitecture(f.Machine)}}, nil
	}
	if f, err := macho.NewFile(r); err == nil {
		return []format{{"darwin", machArchitecture(f.Cpu)}}, nil
	}
	if f, err := macho.NewFatFile(r); err == nil {
		var formats []format
		for _, a := range f.Arches {
			formats = append(formats, format{"darwin", machArchitecture(a.Cpu)})
		}
		return formats, nil
	}
	if f, err := pe.NewFile(r); err == nil {
		return []format{{"windows", peArchitecture(f.Machine)}}, nil
	}
	return nil, errNoLibrary
}

func elfArchitecture(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_386:
		return "386"
	case elf.EM_ARM:
		return "arm"
	}
	return m.String()
}

func machArchitecture(c macho.Cpu) string {
	switch c {
	case macho.CpuAmd64:
		return "amd64"
	case macho.CpuArm64:
		return "arm64"
	}
	return c.String()
}

func peArchitecture(m uint16) string {
	switch m {
	case pe.IMAGE_FILE_MACHINE_AMD64:
		return "amd64"
	case pe.IMAGE_FILE_MACHINE_ARM64:
		return "arm64"
	case pe.IMAGE_FILE_MACHINE_I386:
		return "386"
	}
	return fmt.Sprintf("machine %#x", m)
}
