// Package backup writes and reads backups of indexes: one file that holds all
// documents with their passages, the settings of the index and the types of its
// fields, and a checksum over everything.
//
//	snapshot, err := index.(retriever.Snapshotter).Snapshot(ctx)
//	summary, err := backup.Write(ctx, file, backup.Header{}, snapshot)
//	...
//	r, err := backup.NewReader(file)
//	for entry, err := range r.Entries(ctx) { ... }
//
// A backup belongs to no retriever: what was written from Bleve can be read into
// Elasticsearch and the other way round, and a later version with another index
// format reads it too. What can be computed from the documents, such as analysed
// terms and vectors, is not part of it.
//
// # Format
//
// The file is gzip over lines of JSON. The first line is the [Header]. Then comes
// a line for each document in order of id: {"document": {...}}. The last line is
// {"end": {...}} with the number of documents and passages and the SHA-256 of all
// bytes before it, in hexadecimal. Nothing may follow. Passages are given by
// their bounds in the text, in code points; metadata values keep their types, see
// [retriever.StoredValue]. A reader refuses a format number that it does not
// know and ignores members that it does not know.
//
// A [Reader] is for one goroutine.
package backup
