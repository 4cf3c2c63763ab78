package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// writeBOM writes what the program is made of: the modules that are linked into
// it, with their sums, and the models that are embedded.
func (r *release) writeBOM(name string, t target, parts []part) (err error) {
	bom := cyclonedx.NewBOM()
	root := cyclonedx.Component{
		BOMRef: "needle", Type: cyclonedx.ComponentTypeApplication, Name: "needle", Version: r.version,
		PackageURL: "pkg:golang/github.com/needle-search/needle@v" + r.version + "?goos=" + t.os + "&goarch=" + t.arch,
		Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
		Properties: &[]cyclonedx.Property{{Name: "needle:commit", Value: r.commit}},
	}
	bom.Metadata = &cyclonedx.Metadata{Timestamp: r.date.Format(time.RFC3339), Component: &root}
	// Made of what is listed, so that two runs give the same.
	identity := sha256.New()
	var components []cyclonedx.Component
	var refs []string
	add := func(c cyclonedx.Component) {
		fmt.Fprintln(identity, c.BOMRef, c.Hashes)
		components = append(components, c)
		refs = append(refs, c.BOMRef)
	}
	for _, p := range parts {
		url := "pkg:golang/" + p.path + "@" + p.version
		c := cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: p.path, Version: p.version, PackageURL: url, Scope: cyclonedx.ScopeRequired}
		if encoded, ok := strings.CutPrefix(p.sum, "h1:"); ok {
			sum, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return fmt.Errorf("sum of %s: %w", p.path, err)
			}
			c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
		}
		add(c)
	}
	for _, folder := range embeddedModels {
		graph := filepath.Join(r.root, filepath.FromSlash(folder), "model.int8.onnx")
		data, err := os.ReadFile(graph)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		add(cyclonedx.Component{
			BOMRef: "model:" + path.Base(folder), Type: cyclonedx.ComponentTypeMachineLearningModel, Name: "needle-" + path.Base(folder), Version: r.version,
			Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
			Hashes:   &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
		})
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: "needle", Dependencies: &refs}}
	id := identity.Sum(nil)
	bom.SerialNumber = uuid(id)
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return cyclonedx.NewBOMEncoder(out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

// uuid makes a UUID of version 8 (RFC 9562) of a hash.
func uuid(hash []byte) string {
	b := [16]byte(hash[:16])
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
