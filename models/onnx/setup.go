package onnx

import (
	"context"

	"github.com/needle-search/needle/models/internal/ort"
	"github.com/needle-search/needle/models/internal/ortlib"
)

// RuntimeVersion is the version of ONNX Runtime that [Setup] fetches.
const RuntimeVersion = ortlib.Version

// SetupOptions say where to look for the library of ONNX Runtime, and what to
// take or fetch when there is none.
type SetupOptions = ortlib.Options

// A Report is what [Doctor] found out: checks, each with what is wrong and how
// to mend it.
type Report = ortlib.Report

// A Check is one line of a [Report].
type Check = ortlib.Check

// Errors of [Setup], for errors.Is, beside [models.ErrRuntimeMissing].
var (
	// ErrUnpinned says that SetupOptions.From names a library whose digest
	// Needle does not know; SetupOptions.SHA256 accepts it.
	ErrUnpinned = ortlib.ErrUnpinned
	// ErrDigest says that what was fetched has another digest than it must have.
	ErrDigest = ortlib.ErrDigest
)

// Setup makes sure that there is a shared library of ONNX Runtime: it returns
// what [Locate] finds, or else fetches the pinned version once, by package
// name, through pip, mvn or npm. SetupOptions.From takes a file, a folder or a
// URL instead. The library is checked against a pinned digest and put into the
// cache in one step; any number of processes may call Setup at once.
func Setup(ctx context.Context, opts SetupOptions) (Library, error) {
	return ortlib.Setup(ctx, opts)
}

// Doctor explains whether the library of ONNX Runtime is found, intact and can
// be loaded, and what to do if not. It loads the library into this process
// unless opts.Load says how to try it.
func Doctor(ctx context.Context, opts SetupOptions) (Report, error) {
	if opts.Load == nil {
		opts.Load = func(path string) (string, error) {
			library, err := ort.Load(path)
			if err != nil {
				return "", err
			}
			return library.Version(), nil
		}
	}
	return ortlib.Diagnose(ctx, opts)
}
