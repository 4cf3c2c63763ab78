package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/weights"
)

// WriteBundle makes a directory that holds the base bundle with the head added,
// or in place of the one of its kind. The directory must not be there yet; it
// appears complete or not at all. An empty name is made of the base's. Profiles
// are the score profiles that hold for the base; they go into the manifest
// unless the new head is one that reading uses, for then they are no longer true.
func (h *Head) WriteBundle(base *models.Bundle, directory, name string, profiles []json.RawMessage) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("train: write bundle: %w", err)
		}
	}()
	if base.Hash != h.base.Hash {
		return fmt.Errorf("%w: the head was fitted on %q (%.12s), not on %q (%.12s)", models.ErrInvalidBundle, h.base.Name, h.base.Hash, base.Manifest.Name, base.Hash)
	}
	if _, err := os.Lstat(directory); err == nil {
		return fmt.Errorf("%s: %w", directory, os.ErrExist)
	}
	manifest, head, err := h.manifest(base, name)
	if err != nil {
		return err
	}
	if manifest.Profiles = nil; h.task.kind != models.HeadSpan && h.task.kind != models.HeadRelevance {
		manifest.Profiles = profiles
	}
	temporary, err := os.MkdirTemp(filepath.Dir(filepath.Clean(directory)), ".needle-bundle-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	for file := range manifest.Files {
		data := head
		if file != h.file() {
			if data, err = base.ReadFile(file); err != nil {
				return err
			}
		}
		if err := writeFile(filepath.Join(temporary, filepath.FromSlash(file)), data); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(temporary, models.ManifestName), append(data, '\n')); err != nil {
		return err
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return err
	}
	return os.Rename(temporary, directory)
}

func (h *Head) file() string { return h.task.kind + ".safetensors" }

// manifest is the base's with the head in it, and the head's weight file.
func (h *Head) manifest(base *models.Bundle, name string) (models.Manifest, []byte, error) {
	m := base.Manifest
	m.Version = models.ManifestVersion
	m.Name = name
	if name == "" {
		m.Name = base.Manifest.Name + "-" + h.task.kind
	}
	head, err := weights.Write(map[string]models.Tensor{
		"weight": {Shape: []int{h.task.outputs, len(h.weight) / h.task.outputs}, Data: h.weight},
		"bias":   {Shape: []int{h.task.outputs}, Data: h.bias},
	})
	if err != nil {
		return m, nil, err
	}
	spec := models.HeadSpec{Kind: h.task.kind, File: h.file()}
	options := map[string]any{}
	if h.task.pooling != "" {
		options["pooling"] = h.task.pooling
	}
	if len(h.task.labels) > 0 {
		options["labels"] = h.task.labels
	}
	if len(options) > 0 {
		if spec.Options, err = json.Marshal(options); err != nil {
			return m, nil, err
		}
	}
	m.Files = maps.Clone(m.Files)
	m.Heads = slices.Clone(m.Heads)
	i := slices.IndexFunc(m.Heads, func(s models.HeadSpec) bool { return s.Kind == h.task.kind })
	if i < 0 {
		m.Heads = append(m.Heads, spec)
	} else {
		if old := m.Heads[i].File; old != "" {
			delete(m.Files, old)
		}
		m.Heads[i] = spec
	}
	sum := sha256.Sum256(head)
	m.Files[h.file()] = models.FileEntry{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(head))}
	// What was measured of the base with another head says nothing of this one.
	m.Metrics = map[string]float64{
		h.task.kind + "_held_out_loss":  h.Best.HeldOut,
		h.task.kind + "_held_out_right": h.Best.Right,
	}
	m.Origin = maps.Clone(m.Origin)
	if m.Origin == nil {
		m.Origin = map[string]string{}
	}
	m.Origin["trained_head"] = h.task.kind
	m.Origin["trained_on"] = strconv.Itoa(h.Learned) + " encodings, " + strconv.Itoa(h.HeldOut) + " held out, seed " + strconv.FormatUint(h.seed, 10)
	m.Origin["trained_from"] = h.base.Name + " " + h.base.Hash + " " + h.base.Precision
	return m, head, nil
}

func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
