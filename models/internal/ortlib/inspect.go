package ortlib

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// An identity is what a library's file says about itself.
type identity struct {
	platform Platform
	// version is "" where the file does not say it.
	version string
}

var errNotLibrary = errors.New("it is no shared library")

// inspect reads platform and version from a library's headers. The name is
// asked only where the content does not tell the version: links and copies
// carry any name, but a file built as 1.29.0 says so itself.
func inspect(path string) (identity, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return identity{}, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return identity{}, err
	}
	if !info.Mode().IsRegular() {
		return identity{}, fmt.Errorf("%w: it is no regular file", errNotLibrary)
	}
	f, err := os.Open(real)
	if err != nil {
		return identity{}, err
	}
	defer f.Close()
	id, err := identify(f)
	if err != nil {
		return identity{}, err
	}
	if id.version == "" {
		id.version = versionInName(filepath.Base(real))
	}
	return id, nil
}

// identify tells what a shared library is. It needs no more than its headers
// and the section that holds the version.
func identify(r io.ReaderAt) (identity, error) {
	var magic [4]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil {
		return identity{}, errNotLibrary
	}
	switch {
	case string(magic[:]) == elf.ELFMAG:
		return identifyELF(r)
	case string(magic[:2]) == "MZ":
		return identifyPE(r)
	}
	switch binary.LittleEndian.Uint32(magic[:]) {
	case macho.Magic64:
		f, err := macho.NewFile(r)
		if err != nil {
			return identity{}, fmt.Errorf("%w: %w", errNotLibrary, err)
		}
		return identifyMachO(f), nil
	}
	return identity{}, errNotLibrary
}

// identifyELF reads the version from the symbol version that ONNX Runtime
// gives its interface, for example VERS_1.29.0. The soname only has the major
// version.
func identifyELF(r io.ReaderAt) (identity, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return identity{}, fmt.Errorf("%w: %w", errNotLibrary, err)
	}
	if f.Type != elf.ET_DYN {
		return identity{}, fmt.Errorf("%w: it is an ELF file of type %v", errNotLibrary, f.Type)
	}
	id := identity{platform: Platform{OS: "linux"}}
	switch f.Machine {
	case elf.EM_X86_64:
		id.platform.Arch = "amd64"
	case elf.EM_AARCH64:
		id.platform.Arch = "arm64"
	default:
		id.platform.Arch = f.Machine.String()
	}
	// A library without version symbols is no fault; its name may say it.
	versions, _ := f.DynamicVersions()
	for _, v := range versions {
		if s, ok := strings.CutPrefix(v.Name, "VERS_"); ok && isVersion(s) {
			id.version = s
		}
	}
	return id, nil
}

// identifyMachO reads the current version of the load command LC_ID_DYLIB,
// whose 32 bits are 16 of major, 8 of minor and 8 of patch version.
func identifyMachO(f *macho.File) identity {
	const (
		idDylib       = 0xd
		versionOffset = 16
	)
	id := identity{platform: Platform{OS: "darwin"}}
	switch f.Cpu {
	case macho.CpuArm64:
		id.platform.Arch = "arm64"
	case macho.CpuAmd64:
		id.platform.Arch = "amd64"
	default:
		id.platform.Arch = f.Cpu.String()
	}
	for _, load := range f.Loads {
		raw := load.Raw()
		if len(raw) >= versionOffset+4 && f.ByteOrder.Uint32(raw) == idDylib {
			if v := f.ByteOrder.Uint32(raw[versionOffset:]); v != 0 {
				id.version = fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff)
			}
		}
	}
	return id
}

// identifyPE reads the file version from the resource VS_FIXEDFILEINFO, which
// starts with a signature of its own. Windows itself ships an old
// onnxruntime.dll, so a DLL without a version is of no use.
func identifyPE(r io.ReaderAt) (identity, error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return identity{}, fmt.Errorf("%w: %w", errNotLibrary, err)
	}
	id := identity{platform: Platform{OS: "windows"}}
	switch f.Machine {
	case pe.IMAGE_FILE_MACHINE_AMD64:
		id.platform.Arch = "amd64"
	case pe.IMAGE_FILE_MACHINE_ARM64:
		id.platform.Arch = "arm64"
	default:
		id.platform.Arch = fmt.Sprintf("machine %#x", f.Machine)
	}
	section := f.Section(".rsrc")
	const maxResources = 16 << 20
	if section == nil || section.Size > maxResources {
		return id, nil
	}
	data, err := section.Data()
	if err != nil {
		return id, nil
	}
	signature := []byte{0xbd, 0x04, 0xef, 0xfe}
	if i := bytes.Index(data, signature); i >= 0 && len(data)-i >= 16 {
		high, low := binary.LittleEndian.Uint32(data[i+8:]), binary.LittleEndian.Uint32(data[i+12:])
		id.version = fmt.Sprintf("%d.%d.%d", high>>16, high&0xffff, low>>16)
	}
	return id, nil
}

// check says why a library cannot be used on a platform, or "" if it can.
func (id identity) check(p Platform) string {
	if id.platform != p {
		return fmt.Sprintf("it is for %s, not for %s", id.platform, p)
	}
	return unfit(id.version)
}
