// Package workload sends mixed traffic to a real Needle server for a while and
// checks every answer, and whether the server leaks:
//
//	report, err := workload.Run(ctx, workload.Config{Command: []string{"needle"}, Dir: dir, Duration: 30 * time.Minute})
//	if err == nil {
//		err = report.Err()
//	}
//
// The documents are facts in numbered versions, so that a text tells which
// version it is. A [ledger] knows when the write of each began and when it was
// acknowledged. An answer may show a version that was current at some moment
// between the request's start and its end, and nothing older; the same holds
// for the model that read it. This needs no second opinion, so every answer is
// held against it.
//
// Whether the right answer was found is told by an oracle: a second server
// without caches, which gets the same documents one at a time and is asked one
// question at a time. At every checkpoint the writers rest while the askers go
// on, all at once and through the caches; what they were told is then compared
// with what the oracle says, to the last bit.
package workload
