// Package ortlib finds the shared library of ONNX Runtime and fetches it once
// when it is missing.
//
// [Locate] looks, in this order, at the path in the config, at NEEDLE_ORT_LIB,
// among the libraries of the system and in Needle's cache. [Setup] does the same
// and then fetches the pinned version by package name through a package client
// of the machine (pip, mvn or npm, in this order), or takes it from a file, a
// folder or a URL that the user names. [Diagnose] explains what is found and
// what is wrong.
//
//	lib, err := ortlib.Setup(ctx, ortlib.Options{Progress: bar})
//	// lib.Path is what to load
//
// What is fetched must have a digest that is pinned in this package or given by
// the user; it enters the cache by a rename after it was checked, so that an
// interrupted setup leaves nothing half. Any number of processes may set up at
// the same time: one fetches, the others wait for it.
//
// All functions are safe for concurrent use. The package does not load the
// library; that is the business of models/internal/ort.
//
// On Linux x64 the three clients were run for real. The packages for Linux
// arm64, macOS arm64 and Windows x64 were fetched and their digests computed,
// but nothing was ever loaded on these platforms; [Platform.Tested] says so.
package ortlib
