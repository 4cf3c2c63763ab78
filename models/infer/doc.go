// Package infer is the gate in front of language models: one per process, it is
// handed to ranker, reader and ingest, which share the cores through it.
//
//	service, err := infer.New(model, infer.Config{})
//	defer service.Close()
//	outputs, err := service.Run(ctx, encodings)
//
// The gate runs as many native calls at a time as the cores allow (calls times
// threads of a call). Requests that wait take turns, one call each, so that a
// long one does not hold up short ones; within a request the longest encodings
// go first, which keeps the cores evenly busy to its end. The queue is bounded:
// a request that finds it full fails with models.ErrOverloaded.
//
// When a context ends, what the request has waiting is dropped at once, native
// calls that run for it are told to stop, and Run returns after they have. The
// others do not notice.
//
// [Service.Share] puts a second model behind the same gate: a reader and a
// ranker with different bundles, or the model that is to replace another. A
// running program changes its model so: Share, Warm, hand the new service to
// new requests, Close the old one, which waits for the requests that it has.
//
// All methods are safe for concurrent use. A service owns its model.
package infer
