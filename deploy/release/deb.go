package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// writeDeb writes the Debian package.
func (r *release) writeDeb(name string, t target, program string, rest []file) (err error) {
	libc, err := neededLibc(program)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "needle-deb-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	here := filepath.Join(r.root, "deploy", "release")
	var contents files.Contents
	add := func(source, destination, kind string, mode os.FileMode) {
		contents = append(contents, &files.Content{
			Source: source, Destination: destination, Type: kind,
			FileInfo: &files.ContentFileInfo{Mode: mode, MTime: r.date, Owner: "root", Group: "root"},
		})
	}
	add(program, "/usr/bin/needle", files.TypeFile, 0o755)
	add(filepath.Join(r.root, "deploy/systemd/needle.service"), "/usr/lib/systemd/system/needle.service", files.TypeFile, 0o644)
	add(filepath.Join(here, "needle.yaml"), "/etc/needle/needle.yaml", files.TypeConfigNoReplace, 0o644)
	for _, f := range rest {
		destination := "/usr/share/doc/needle/"
		switch f.name {
		case "needle", "needle.service", "needle.yaml":
			continue
		case "LICENSE":
			destination += "copyright"
		default:
			destination += f.name
		}
		path := filepath.Join(work, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.data, 0o644); err != nil {
			return err
		}
		add(path, destination, files.TypeFile, 0o644)
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "needle", Arch: t.arch, Platform: t.os, Version: r.version, VersionSchema: "semver",
		Maintainer: "Needle maintainers <maintainers@needle-search.invalid>", Section: "utils", Priority: "optional",
		Homepage: "https://github.com/needle-search/needle", License: "Apache-2.0", MTime: r.date,
		Description: "answers questions from your own documents\nNeedle finds passages with BM25, reads them with a small transformer and returns\nthe words that answer, where they stand and how sure it is.",
		Overridables: nfpm.Overridables{
			// ONNX Runtime is C++; it is fetched by "needle setup" through pip.
			Depends:    []string{"libc6 (>= " + libc + ")", "libstdc++6", "adduser"},
			Recommends: []string{"ca-certificates", "python3-pip"},
			Contents:   contents,
			Scripts: nfpm.Scripts{
				PostInstall: filepath.Join(here, "scripts/postinst"), PreRemove: filepath.Join(here, "scripts/prerm"), PostRemove: filepath.Join(here, "scripts/postrm"),
			},
		},
	})
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return err
	}
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return deb.Default.Package(info, out)
}
