package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/ranker"
)

// profilesDir holds the score profiles that were fitted for a data directory,
// one JSON file each.
const profilesDir = "profiles"

// ErrInvalidProfile says that a file holds no score profile.
var ErrInvalidProfile = errors.New("invalid score profile")

// LoadProfiles reads the score profiles of the data directory. They come before
// those that the registry brings. [Open] does it too, unless it was done by
// this call: who opens a configuration with another data directory can so take
// the profiles along.
func (c *Config) LoadProfiles() error {
	c.pinned = true
	return c.readProfiles()
}

func (c *Config) readProfiles() error {
	c.fitted = nil
	files, err := filepath.Glob(filepath.Join(c.Data, profilesDir, "*.json"))
	if err != nil {
		return fmt.Errorf("pipeline: score profiles: %w", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("pipeline: score profiles: %w", err)
		}
		profile, err := parseProfile(data)
		if err != nil {
			return fmt.Errorf("pipeline: %s: %w; remove it, or fit it again with: needle calibrate --use", file, err)
		}
		c.fitted = append(c.fitted, profile)
	}
	return nil
}

func parseProfile(data []byte) (Profile, error) {
	p, err := decodeProfile(data)
	if err == nil {
		err = p.validate()
	}
	return p, err
}

func decodeProfile(data []byte) (Profile, error) {
	var p Profile
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, fmt.Errorf("%w: %w", ErrInvalidProfile, err)
	}
	return p, nil
}

func (p Profile) validate() error {
	switch {
	case p.Bundle == "" || p.Retriever == "" || p.Ranker == "":
		return fmt.Errorf("%w: bundle, retriever or ranker is missing", ErrInvalidProfile)
	case !(p.NoAnswerThreshold > 0 && p.NoAnswerThreshold <= 1):
		return fmt.Errorf("%w: no_answer_threshold: %v; allowed is more than 0, at most 1", ErrInvalidProfile, p.NoAnswerThreshold)
	}
	for _, v := range []float64{p.BM25Weight, p.Answer.Intercept, p.Answer.Fused, p.VectorWeight, p.RelevanceWeight, p.Answer.Share, p.NoAnswer.Intercept, p.NoAnswer.Fused, p.NoAnswer.Margin, p.NoAnswer.BM25, p.NoAnswer.Vector, p.NoAnswer.Relevance} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%w: a weight is not a finite number", ErrInvalidProfile)
		}
	}
	return nil
}

// SaveProfile keeps a score profile in the data directory, in place of an older
// one for the same combination, and returns its file. It takes effect when a
// pipeline is opened.
func (c *Config) SaveProfile(p Profile) (string, error) {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return "", fmt.Errorf("pipeline: keep score profile: %w", err)
	}
	if _, err := parseProfile(data); err != nil {
		return "", fmt.Errorf("pipeline: keep score profile: %w", err)
	}
	dir := filepath.Join(c.Data, profilesDir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("pipeline: keep score profile: %w", err)
	}
	name := strings.Join([]string{p.Bundle[:min(len(p.Bundle), 12)], p.Retriever, string(p.Ranker)}, "-")
	if p.Embedding != "" {
		name += "-" + p.Embedding[:min(len(p.Embedding), 12)]
	}
	file := filepath.Join(dir, strings.ReplaceAll(name, string(filepath.Separator), "_")+".json")
	part, err := os.CreateTemp(dir, ".part-*")
	if err != nil {
		return "", fmt.Errorf("pipeline: keep score profile: %w", err)
	}
	_, err = part.Write(append(data, '\n'))
	err = errors.Join(err, part.Sync(), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), file)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("pipeline: keep score profile: %w", err), os.Remove(part.Name()))
	}
	return file, nil
}

// profileFor returns the profile of a combination and whether it was fitted for
// exactly that. Those of the data directory come before those of the registry,
// and these before the bundle's own. Without one, what was fitted without a
// ranker serves, with half of the order from each ranker.
func (c *Config) profileFor(bundle, retriever string, typ RankerType, embedding string, own []Profile) (Profile, bool) {
	if !typ.has(RankerVector) {
		embedding = ""
	}
	for _, profiles := range [][]Profile{c.fitted, c.registry.profiles, own} {
		if p, ok := findProfile(profiles, bundle, retriever, typ, embedding); ok {
			return p, true
		}
	}
	p := fallbackProfile()
	if typ != RankerNone {
		p, _ = c.profileFor(bundle, retriever, RankerNone, "", own)
		p.VectorShare, p.RelevanceShare = ranker.DefaultShare, ranker.DefaultShare
	}
	return p, false
}

func findProfile(profiles []Profile, bundle, retriever string, typ RankerType, embedding string) (Profile, bool) {
	for _, p := range profiles {
		if p.Bundle == bundle && p.Retriever == retriever && p.Ranker == typ && p.Embedding == embedding {
			return p, true
		}
	}
	return Profile{}, false
}

// bundleProfiles are the score profiles that a bundle brings.
func bundleProfiles(bundle *models.Bundle) ([]Profile, error) {
	var profiles []Profile
	for i, data := range bundle.Manifest.Profiles {
		p, err := decodeProfile(data)
		if err == nil && p.Bundle != "" {
			err = fmt.Errorf("%w: bundle: %q; the hash of a bundle is not part of it", ErrInvalidProfile, p.Bundle)
		}
		p.Bundle = bundle.Hash
		if err == nil {
			err = p.validate()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: profiles[%d]: %w", models.ErrInvalidBundle, models.ManifestName, i, err)
		}
		profiles = append(profiles, p)
	}
	return profiles, nil
}

// BundleProfiles returns all score profiles that are known for a bundle, of the
// data directory, the registry and its own, as its manifest may hold them: who
// makes another bundle that reads in the same way passes them on. [Config.LoadProfiles]
// must have been called.
func (c *Config) BundleProfiles(bundle *models.Bundle) ([]json.RawMessage, error) {
	own, err := bundleProfiles(bundle)
	if err != nil {
		return nil, err
	}
	var all []Profile
	for _, p := range slices.Concat(c.fitted, c.registry.profiles, own) {
		if _, known := findProfile(all, bundle.Hash, p.Retriever, p.Ranker, p.Embedding); p.Bundle == bundle.Hash && !known {
			all = append(all, p)
		}
	}
	var raw []json.RawMessage
	for _, p := range all {
		p.Bundle = ""
		data, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("pipeline: score profile: %w", err)
		}
		raw = append(raw, data)
	}
	return raw, nil
}
