// Package bleve keeps indexes on the local disk and searches them by BM25.
//
// It is the embedded retriever: no server, one directory an index. The storage
// is scorch, the index engine of Bleve 2; text analysis (tokens, stop words,
// stems) is Bleve's too. The scoring is not: Bleve's own "bm25" model takes the
// square root of the term frequency, applies the inverse document frequency
// twice and averages a length that is none, so this package scores by
// itself, on the engine's snapshot.
//
//	backend, err := bleve.New(bleve.DefaultConfig(), "needle-data/indexes")
//	index, err := backend.Create(ctx, "default")
//	err = index.Upsert(ctx, entries)
//	results, err := index.Retrieve(ctx, retriever.Query{Text: "who built it?", TopK: 200, AllGroups: true})
//
// # Score
//
// The formula is BM25 as Robertson and Zaragoza give it ("The Probabilistic
// Relevance Framework: BM25 and Beyond", 2009), with the idf that Lucene uses
// because it is never negative:
//
//	score(q, p) = Σ over the terms t of q:  idf(t) · tf · (k1 + 1) / (tf + k1 · (1 - b + b · len / avglen))
//	idf(t)      = ln(1 + (N - df + 0.5) / (df + 0.5))
//
// N is the number of passages, df the number of passages with t, tf the number
// of times that t occurs in the passage and len the passage's number of terms;
// all are exact, over the whole index whatever its segments, and without what
// was deleted or replaced. A passage's terms are those of its document's title
// followed by those of its own text, without stop words. A term that occurs
// twice in the query counts twice. Equal scores are ordered by document id and
// position, so identical indexes give identical results.
//
// The statistics count documents that the caller may not see: an explanation
// gives the document frequency over the whole index.
//
// # Filters
//
// Metadata filters and the caller's groups act before the best passages are
// chosen, and do not change a score. Numbers are compared as float64 and dates
// to the microsecond. A field exists in a document that has the key, even with
// an empty list.
//
// # Storage
//
// An index is the directory dir/name with the file needle.json (format version,
// analysis) and the folder store, which is scorch's. A document's records are
// written in one atomic, synced batch and therefore lie in one segment. A
// document whose id is stored already is replaced in the same batch. Passages
// keep the text; the document's text is put together from them. After a write
// that failed (a full disk, say) the store is opened again as it was before.
//
// The folder flat holds a copy of the larger segments' postings that is searched
// faster. It is derived: it is made in the background, checked when it is
// opened, and may be deleted. Results are the same with and without it.
//
// # Concurrency
//
// A [Backend] and its indexes are safe for concurrent use. Readers work on an
// immutable snapshot and never wait for a writer. Concurrent writers share a
// commit and its fsync. Only one process may have an index open.
package bleve
