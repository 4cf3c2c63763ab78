// Package onnx runs language models with ONNX Runtime:
//
//	library, err := onnx.Locate(onnx.LocateOptions{})
//	bundle, err := builtin.Bundle()
//	model, err := onnx.Open(ctx, onnx.Config{LibraryPath: library.Path}, bundle)
//	defer model.Close()
//	outputs, err := model.Run(ctx, encodings)
//
// Open checks that graph and manifest fit together and runs the graph once, so
// that a wrong bundle fails there and not at the first question.
//
// A model is safe for concurrent use, and what Run returns belongs to the
// caller. One call keeps Config.Threads cores busy; the package infer decides
// how many calls run at a time.
//
// On a CPU every encoding is a native call of its own: padding costs more than
// larger matrices save. Graphs in int8 run that way everywhere, because they
// scale their activations by the greatest value in the whole batch, so that
// neighbours would change each other's results.
package onnx
