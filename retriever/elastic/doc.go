// Package elastic keeps indexes on an Elasticsearch server, version 8:
//
//	config := elastic.DefaultConfig()
//	config.Addresses = []string{"https://search.example.org:9200"}
//	config.APIKeyEnv = "ELASTIC_API_KEY"
//	backend, err := elastic.New(config)
//
// # Layout
//
// A Needle index is one Elasticsearch index behind an alias. A passage is one
// Elasticsearch document; its title and text are values of one field, which
// BM25 scores with the k1 and b of the index. A further document, the record,
// holds what is known of the whole Needle document. The mapping is static.
// Metadata, however its keys are named, becomes terms of one keyword field.
//
// # Whole documents
//
// Elasticsearch has no transactions, so the package keeps versions itself. All
// that one commit writes carries the commit's number. One document, the state,
// says up to which number commits are valid and which revisions of documents
// have been replaced since. A commit writes the new revisions, refreshes, and
// then replaces the state under Elasticsearch's optimistic concurrency control:
// only this last write makes the new revisions valid and the old ones invalid,
// all at once. Every search carries the state as a filter. What was replaced is
// removed from the server afterwards, when no search of this process still needs
// it. A crash at any point leaves the state before or after the commit; what it
// leaves behind besides is never seen and is removed by the next writer.
//
// Any number of processes may read. Several may write: a writer who finds that
// another one committed starts its commit again, and gives up with
// [retriever.ErrLocked] after a few tries. A process learns of the commits of
// others within a second. In that second a search may miss a document that
// another process is just replacing, but it never sees one in part or in two
// versions.
//
// A write is acknowledged when the server has synced its translog.
//
// # Names
//
// An index has its name by an alias, which [Backend.Swap] gives to another one in
// one step. Whoever has an index open keeps it, and learns by [Index.Moved] that
// its name stands for another one. What reads everything (Verify, Snapshot) reads
// at a point in time of the server.
//
// # Vectors
//
// The vector of a passage lies in the passage's document, in a field for each
// model. A document on the server is made once and then only removed, so a vector
// is right for as long as it is there, whoever writes meanwhile.
//
// # Existing indexes
//
// An index that others made is read by way of the fields that [Existing] names.
// Nothing is written to it.
//
// # Scores
//
// Scores follow the formula of package bleve, with Lucene's limits: the length
// of a passage of more than 40 terms is rounded to one byte, scores are 32 bits
// wide, and document frequencies count what was deleted until Lucene merges it
// away.
//
// Backend and Index are safe for concurrent use.
package elastic
