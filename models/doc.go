// Package models is the vocabulary of reading: tokenizers, language models,
// prediction heads and the bundles that hold them. It imports the standard
// library only.
//
// A language model turns an [Encoding] into [Outputs]: named tensors, such as
// hidden states [tokens, width]. A prediction head turns outputs into a
// prediction. Several heads share one run of the language model, and either
// side is swapped without the other noticing: a fused graph emits logits, a
// split one emits hidden states, and the head of a bundle knows which it reads.
//
// Nothing in this package holds native memory; tensors are plain values that
// the caller owns.
package models
