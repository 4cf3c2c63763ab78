package ortlib

import (
	"path/filepath"
	"runtime"
	"strings"
)

// A Platform is an operating system and a processor, named as Go names them.
type Platform struct{ OS, Arch string }

// Host returns the platform that this process runs on.
func Host() Platform { return Platform{OS: runtime.GOOS, Arch: runtime.GOARCH} }

// String returns the platform as linux-amd64.
func (p Platform) String() string { return p.OS + "-" + p.Arch }

// Tested says whether a fetched library was ever loaded on this platform by
// those who wrote this version.
func (p Platform) Tested() bool { return p == Platform{"linux", "amd64"} }

// LibraryName returns the usual name of the library's file.
func (p Platform) LibraryName() string {
	switch p.OS {
	case "windows":
		return "onnxruntime.dll"
	case "darwin":
		return "libonnxruntime.dylib"
	default:
		return "libonnxruntime.so"
	}
}

// isLibraryName tells whether a file name can be that of the library, and not
// of one of the plug-ins and bindings that are shipped beside it.
func (p Platform) isLibraryName(name string) bool {
	switch p.OS {
	case "windows":
		return strings.EqualFold(name, "onnxruntime.dll")
	case "darwin":
		return name == "libonnxruntime.dylib" ||
			strings.HasPrefix(name, "libonnxruntime.") && strings.HasSuffix(name, ".dylib") &&
				isVersion(strings.TrimSuffix(strings.TrimPrefix(name, "libonnxruntime."), ".dylib"))
	default:
		return name == "libonnxruntime.so" ||
			strings.HasPrefix(name, "libonnxruntime.so.") && isVersion(strings.TrimPrefix(name, "libonnxruntime.so."))
	}
}

// cachedName is the name of a library in the cache. It holds a part of the
// digest, so that a new library never has to be written over one that a running
// process has loaded, which Windows refuses.
func (p Platform) cachedName(digest string) string {
	name := p.LibraryName()
	ext := filepath.Ext(name)
	return strings.TrimSuffix(name, ext) + "-" + digest[:12] + ext
}
