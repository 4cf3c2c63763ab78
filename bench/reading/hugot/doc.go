//go:build !ORT && !ALL

package main

import "log"

// Hugot compiles its connection to ONNX Runtime with a build tag only.
func main() { log.Fatal("hugot: build it with -tags ORT; see bench/reading/README.md") }
