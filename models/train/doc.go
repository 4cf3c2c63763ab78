// Package train fits a prediction head on the frozen hidden states of a
// language model, from some dozens to thousands of labelled examples, in
// minutes on a CPU:
//
//	task, err := train.NewSpanTask(examples, tokenizer, train.SpanOptions{...})
//	states, err := train.OpenStates(path, inferencer)
//	head, err := train.Fit(ctx, task, states, train.Config{Seed: 1})
//	err = head.WriteBundle(base, directory, name, nil)
//
// A head is one linear layer, fitted by Adam (Kingma and Ba 2015) on
// cross-entropy with a pull towards where it began: zero, or the weights of the
// head that is fitted anew. A part of the examples is held out; fitting stops
// when their loss does not fall any more, and the weights of the best round
// stay.
//
// The result depends on examples, configuration and seed only: a run that was
// killed and goes on from its checkpoint ends with the same bits. (Processors
// that fuse multiplication and addition may differ in the last bit from those
// that do not.)
//
// Fit and the tasks are not safe for concurrent use with the same states.
package train
