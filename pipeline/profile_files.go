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
	"strings"
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
	var p Profile
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, fmt.Errorf("%w: %w", ErrInvalidProfile, err)
	}
	switch {
	case p.Bundle == "" || p.Retriever == "" || p.Ranker == "":
		return p, fmt.Errorf("%w: bundle, retriever or ranker is missing", ErrInvalidProfile)
	case !(p.NoAnswerThreshold > 0 && p.NoAnswerThreshold <= 1):
		return p, fmt.Errorf("%w: no_answer_threshold: %v; allowed is more than 0, at most 1", ErrInvalidProfile, p.NoAnswerThreshold)
	}
	for _, v := range []float64{p.BM25Weight, p.Answer.Intercept, p.Answer.Fused, p.Answer.Share, p.NoAnswer.Intercept, p.NoAnswer.Fused} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return p, fmt.Errorf("%w: a weight is not a finite number", ErrInvalidProfile)
		}
	}
	return p, nil
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

// profileFor is the registry's, with the data directory's profiles before it.
func (c *Config) profileFor(bundle, retriever string, typ RankerType, embedding string) (Profile, bool) {
	if !typ.has(RankerVector) {
		embedding = ""
	}
	if p, ok := findProfile(c.fitted, bundle, retriever, typ, embedding); ok {
		return p, true
	}
	p, ok := c.registry.profileFor(bundle, retriever, typ, embedding)
	if ok || typ == RankerNone {
		return p, ok
	}
	// The registry falls back on what was fitted without a ranker; what was
	// fitted here comes before that too.
	if own, found := findProfile(c.fitted, bundle, retriever, RankerNone, ""); found {
		own.VectorShare, own.RelevanceShare = p.VectorShare, p.RelevanceShare
		return own, false
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
