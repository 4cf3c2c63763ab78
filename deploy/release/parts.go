package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A part is a module that was linked into the program.
type part struct {
	path, version string
	sum           string // of the Go checksum database
	dir           string // where its source is
}

// readParts reads from the program itself what is in it, which is less than
// go.mod names. The package is that of the program, below root.
func readParts(ctx context.Context, root, pkg string, t target, program string) ([]part, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", `{{with .Module}}{{.Path}}@{{.Version}}{{"\t"}}{{.Dir}}{{end}}`, pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS="+t.os, "GOARCH="+t.arch)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	dirs := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if module, dir, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			dirs[module] = dir
		}
	}
	var parts []part
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		dir := dirs[d.Path+"@"+d.Version]
		if dir == "" {
			return nil, fmt.Errorf("the source of %s %s is not here; is the program of this commit?", d.Path, d.Version)
		}
		parts = append(parts, part{d.Path, d.Version, d.Sum, dir})
	}
	if len(parts) == 0 {
		return nil, errors.New("the program names no modules")
	}
	return parts, nil
}

// legal finds the files that a module's licence asks to be passed on.
func legal(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		name := strings.ToUpper(strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".md"), ".txt"))
		for _, start := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"} {
			if !e.IsDir() && strings.HasPrefix(name, start) {
				found = append(found, e.Name())
				break
			}
		}
	}
	return found, nil
}

// writeNotices puts the licences of everything in the program into one text. A
// part without one is an error, because it must not be passed on.
func writeNotices(root string, parts []part) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("Needle contains the following software and models of others, under the licences below.\n")
	add := func(title, dir string) error {
		names, err := legal(dir)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return fmt.Errorf("%s has no licence file", title)
		}
		fmt.Fprintf(&out, "\n%s\n%s\n", strings.Repeat("=", 78), title)
		for _, name := range names {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "\n--- %s\n\n%s\n", name, bytes.TrimSpace(data))
		}
		return nil
	}
	for _, name := range embeddedModels {
		if err := add("Embedded model "+path.Base(name), filepath.Join(root, filepath.FromSlash(name))); err != nil {
			return nil, err
		}
	}
	var faults []error
	for _, p := range parts {
		faults = append(faults, add(p.path+" "+p.version, p.dir))
	}
	return out.Bytes(), errors.Join(faults...)
}

// embeddedModels are the folders of what is in the program and no Go module.
var embeddedModels = []string{"models/builtin/bundle", "models/builtin/embedding"}

// walk reads the files below a folder in order of name.
func walk(root fs.FS, folder string, do func(name string, data []byte)) error {
	var names []string
	err := fs.WalkDir(root, folder, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		do(name, data)
	}
	return nil
}
