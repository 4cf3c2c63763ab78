// Package modelstest holds what tests of models and of their users need: the
// conformance suite that every language model passes, and deterministic fakes
// of a tokenizer, a language model, heads and a bundle that need no native
// library.
//
// A test that wants to know which span wins says so:
//
//	tokenizer := modelstest.NewTokenizer()
//	model := modelstest.NewLanguageModel(modelstest.Options{})
//	head := modelstest.NewSpanHead(tokenizer, modelstest.Span{
//		Question: "Who designed the tower?", Answer: "Gustave Eiffel", Score: 8,
//	})
//
// The fakes are safe for concurrent use unless a field says otherwise.
package modelstest
