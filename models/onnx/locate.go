package onnx

import "github.com/needle-search/needle/models/internal/ortlib"

// A Library is a shared library of ONNX Runtime that was found: its path, its
// version and how it was found.
type Library = ortlib.Library

// LocateOptions say where to look for the library; [SetupOptions] say what to
// fetch as well. The zero value looks at the environment (NEEDLE_ORT_LIB,
// NEEDLE_CACHE), the system and the user's cache.
type LocateOptions = ortlib.Options

// Locate finds the shared library of ONNX Runtime without fetching anything:
// in the config (LocateOptions.Path), in NEEDLE_ORT_LIB, in the system, in
// Needle's cache. Errors wrap [models.ErrRuntimeMissing] and say what to run or
// set. Its Path goes into [Config.LibraryPath].
func Locate(opts LocateOptions) (Library, error) { return ortlib.Locate(opts) }

// CacheDir returns the folder for everything that Needle keeps or fetches: that
// of NEEDLE_CACHE, else the user's.
func CacheDir() (string, error) { return ortlib.CacheDir() }
