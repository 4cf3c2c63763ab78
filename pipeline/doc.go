// Package pipeline is Needle's front door: it opens a retriever, a language
// model and a reader as a configuration names them, and asks them questions.
//
//	cfg, err := pipeline.LoadConfig("needle.yaml", builtin.Registry())
//	...
//	p, err := pipeline.Open(ctx, cfg)
//	...
//	defer p.Close()
//	res, err := p.Ask(ctx, pipeline.Request{Question: "Who designed the tower?", TopK: 3})
//
// A [Pipeline] is safe for concurrent use. It owns what it opened: the indexes
// of one data directory, which no other process may use meanwhile, and one
// language model, which all requests share. What can be named in a
// configuration stands in a [Registry]; package pipeline/builtin fills one with
// everything that Needle brings, and programs add their own.
package pipeline
