package ortlib

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// locateSystem looks at the places where the system keeps shared libraries.
func (s *setup) locateSystem() (lib Library, found bool, rejected []Rejection) {
	seen := map[string]bool{}
	for _, path := range s.systemLibraries() {
		real, err := filepath.EvalSymlinks(path)
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		id, err := inspect(real)
		if err != nil {
			rejected = append(rejected, Rejection{path, err.Error()})
			continue
		}
		if reason := id.check(s.platform); reason != "" {
			rejected = append(rejected, Rejection{path, reason})
			continue
		}
		return Library{Path: path, Version: id.version, Origin: FromSystem}, true, rejected
	}
	return Library{}, false, rejected
}

// systemLibraries lists candidates, best first: folders in their order, then
// what the dynamic linker's cache knows beyond them.
func (s *setup) systemLibraries() []string {
	var paths []string
	for _, dir := range s.systemDirs {
		paths = append(paths, s.librariesIn(dir)...)
	}
	if s.linkerCache != "" {
		paths = append(paths, s.linkerCached()...)
	}
	return paths
}

// librariesIn lists the libraries in a folder, the newest name first.
func (s *setup) librariesIn(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // most of the folders do not exist on most machines
	}
	var names []string
	for _, e := range entries {
		if s.platform.isLibraryName(e.Name()) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		va, _ := parseVersion(versionInName(a))
		vb, _ := parseVersion(versionInName(b))
		if c := slices.Compare(vb[:], va[:]); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = filepath.Join(dir, name)
	}
	return names
}

// systemDirs are the usual places of shared libraries.
func systemDirs(p Platform, getenv func(string) string) []string {
	var dirs []string
	list := func(variable string) {
		for _, dir := range filepath.SplitList(getenv(variable)) {
			if filepath.IsAbs(dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	switch p.OS {
	case "windows":
		list("PATH")
	case "darwin":
		list("DYLD_LIBRARY_PATH")
		if prefix := getenv("HOMEBREW_PREFIX"); filepath.IsAbs(prefix) {
			dirs = append(dirs, filepath.Join(prefix, "lib"))
		}
		dirs = append(dirs, "/usr/local/lib", "/usr/lib")
	default:
		list("LD_LIBRARY_PATH")
		dirs = append(dirs, "/usr/local/lib", "/usr/local/lib64")
		if triple := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[p.Arch]; triple != "" {
			dirs = append(dirs, "/usr/local/lib/"+triple, "/usr/lib/"+triple, "/lib/"+triple)
		}
		dirs = append(dirs, "/usr/lib64", "/usr/lib", "/lib64", "/lib")
	}
	return dirs
}

// linkerCached returns the paths of the library in the cache that ldconfig
// writes.
func (s *setup) linkerCached() []string {
	f, err := os.Open(s.linkerCache)
	if err != nil {
		return nil
	}
	defer f.Close()
	const maxCache = 16 << 20 // a large one has 1 MB
	data, err := io.ReadAll(io.LimitReader(f, maxCache))
	if err != nil {
		return nil
	}
	return s.parseLinkerCache(data)
}

// parseLinkerCache picks the library's paths out of a linker cache. Its format
// has changed twice, but all of them end in a table of NUL-terminated strings,
// and the paths in it are all that is needed here.
func (s *setup) parseLinkerCache(data []byte) []string {
	var paths []string
	stem := []byte("/" + strings.TrimSuffix(s.platform.LibraryName(), ".so"))
	for {
		i := bytes.Index(data, stem)
		if i < 0 {
			return paths
		}
		start := bytes.LastIndexByte(data[:i], 0) + 1
		end := len(data)
		if n := bytes.IndexByte(data[i:], 0); n >= 0 {
			end = i + n
		}
		path := string(data[start:end])
		if filepath.IsAbs(path) && s.platform.isLibraryName(filepath.Base(path)) && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
		data = data[end:]
	}
}
