package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// A file of an archive.
type file struct {
	name string // in the archive
	data []byte
	mode int64
}

// files gathers what stands beside the program.
func (r *release) files(program string, parts []part) ([]file, error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	all := []file{{"needle", data, 0o755}}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "deploy/systemd/needle.service", "deploy/release/needle.yaml"} {
		data, err := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		all = append(all, file{path.Base(name), data, 0o644})
	}
	notices, err := writeNotices(r.root, parts)
	if err != nil {
		return nil, err
	}
	all = append(all, file{"THIRD-PARTY-NOTICES.txt", notices, 0o644})
	for _, folder := range []string{"docs", "examples"} {
		root := os.DirFS(r.root)
		err := walk(root, folder, func(name string, data []byte) {
			if !strings.HasSuffix(name, ".go") {
				all = append(all, file{name, data, 0o644})
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// writeArchive writes files in the given order below one folder. Owners and
// times are the same everywhere, so equal files give equal archives.
func writeArchive(name, folder string, files []file, date time.Time) (err error) {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	packed, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	to := tar.NewWriter(packed)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + f.name, Size: int64(len(f.data)), Mode: f.mode, ModTime: date, Format: tar.FormatPAX}
		if err := to.WriteHeader(header); err != nil {
			return err
		}
		if _, err := to.Write(f.data); err != nil {
			return err
		}
	}
	return errors.Join(to.Close(), packed.Close())
}

// checksums writes SHA256SUMS in the form of sha256sum --check.
func (r *release) checksums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, e := range entries {
		f, err := os.Open(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		sum := sha256.New()
		size, err := io.Copy(sum, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sum.Sum(nil), e.Name())
		fmt.Printf("%10.1f MB  %s\n", float64(size)/1e6, e.Name())
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(list.String()), 0o644)
}
