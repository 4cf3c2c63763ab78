package bleve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/needle-search/needle/retriever"
)

// DropVectors implements [retriever.VectorStore].
func (x *Index) DropVectors(ctx context.Context, keep string) (bool, error) {
	dropped := false
	err := x.withView(ctx, func(view) error {
		x.vectorLock.Lock()
		defer x.vectorLock.Unlock()
		files, err := vectorFiles(x.path)
		if err != nil {
			return err
		}
		for _, path := range files {
			if keep != "" && path == vectorPath(x.path, keep) {
				continue
			}
			dropped = true
			for model, s := range x.vectorSets {
				if s.file.path == path {
					delete(x.vectorSets, model)
					err = errors.Join(err, s.file.close())
				}
			}
			err = errors.Join(err, os.Remove(path), removeIfThere(notePath(path)))
		}
		return err
	})
	if err != nil {
		return dropped, x.fail("drop vectors of", err)
	}
	return dropped, nil
}

// vectorFiles returns the paths of the files of vectors of an index.
func vectorFiles(index string) ([]string, error) {
	return filepath.Glob(filepath.Join(globEscape(index), vectorsFolder, "*"+vectorSuffix))
}

// globEscape makes a path match itself.
func globEscape(path string) string {
	return strings.NewReplacer("\\", "\\\\", "*", "\\*", "?", "\\?", "[", "\\[").Replace(path)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// closeVectors writes down what is missing, so that the next process need not
// look for it, and closes the files.
func (x *Index) closeVectors() error {
	x.vectorLock.Lock()
	defer x.vectorLock.Unlock()
	var faults []error
	for _, s := range x.vectorSets {
		// The note saves time only; without one the index is looked through.
		_ = s.writeNote(x.generation.Load())
		faults = append(faults, s.file.close())
	}
	x.vectorSets = nil
	return errors.Join(faults...)
}

// vectorNote is kept beside a file of vectors: which documents lacked vectors at
// a generation of the index.
type vectorNote struct {
	Generation uint64         `json:"generation"`
	Vectors    int            `json:"vectors"`
	Dirty      map[string]int `json:"dirty,omitempty"`
}

func notePath(file string) string { return strings.TrimSuffix(file, vectorSuffix) + ".json" }

func readVectorNote(file string) (vectorNote, bool) {
	var note vectorNote
	data, err := os.ReadFile(notePath(file))
	return note, err == nil && json.Unmarshal(data, &note) == nil
}

// writeNote writes the note if it is of use: for the generation that the set
// knows, and if it was not written yet.
func (s *vectorSet) writeNote(generation uint64) error {
	s.mu.Lock()
	note := vectorNote{Generation: generation, Vectors: s.file.length(), Dirty: s.dirty}
	useless := s.scan || s.generation != generation
	data, err := json.Marshal(note)
	s.mu.Unlock()
	if useless || err != nil || note.Vectors == 0 {
		return err
	}
	path := notePath(s.file.path)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return nil
	}
	if err := removeIfThere(path + ".new"); err != nil {
		return err
	}
	if err := writeSynced(path+".new", data); err != nil {
		return storageError(err)
	}
	return storageError(os.Rename(path+".new", path))
}

// modelOf reads from a file of vectors which model they belong to.
func modelOf(path string) (model string, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	model, _, _, err = readVectorHeader(f)
	return model, err == nil
}

// verifyVectors adds what is wrong with the files of vectors, and passages that
// lack a vector of a model for which the index counts as complete.
func (x *Index) verifyVectors(ctx context.Context) error {
	files, err := vectorFiles(x.path)
	if err != nil {
		return err
	}
	var faults []error
	for _, path := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := checkVectorFile(path); err != nil {
			faults = append(faults, err)
			continue
		}
		if model, ok := modelOf(path); ok {
			faults = append(faults, x.withVectors(ctx, model, func(v view, s *vectorSet) error { return s.verifyComplete(ctx, v) }))
		}
	}
	return errors.Join(faults...)
}

func (s *vectorSet) verifyComplete(ctx context.Context, v view) error {
	if !s.coverage(v).Complete() {
		return nil
	}
	var faults []error
	for after := ""; len(faults) < maxFaults; {
		ids, err := v.documentIDs(ctx, after, scanChunk)
		if err != nil {
			return err
		}
		for _, id := range ids {
			after = id
			lacking, err := s.lacking(ctx, v, id)
			if err != nil {
				return err
			}
			if len(lacking) > 0 && s.coverage(v).Complete() {
				s.remember(id)
				faults = append(faults, fmt.Errorf("%w: document %q lacks %d vectors; they are made again", retriever.ErrCorrupt, id, len(lacking)))
			}
		}
		if len(ids) < scanChunk {
			break
		}
	}
	return errors.Join(faults...)
}
