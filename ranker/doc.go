// Package ranker reorders and cuts candidates before they are read, so that ten
// passages read do the work of forty.
//
// Two rankers exist. [ByVector] compares the question's vector with those that
// the index keeps of its passages, which costs one short run of a small encoder
// for the question and a few microseconds a candidate. [ByRelevance] lets a
// cross-encoder look at question and passage together, which costs a run for
// each candidate; its logits come from whoever ran the model, so that a reader
// with the same language model need not run it again.
//
//	embedder := ranker.NewEmbedder(tokenizer, model, head)
//	question, err := embedder.Question(ctx, "Who designed it?")
//	vectors, err := store.Vectors(ctx, embedder.Model(), hits)
//	hits = ranker.ByVector(hits, question, vectors, ranker.DefaultShare)
//
// Both fuse their score with the one before it: a passage must be good by both
// to come first. An [Embedder] is safe for concurrent use; it owns nothing.
package ranker
