// Package elastic keeps the records of a store in one Elasticsearch index, so
// that several servers share them:
//
//	config := elastic.DefaultConfig()
//	config.Addresses = []string{"https://search.example.org:9200"}
//	driver, err := elastic.Open(ctx, config)
//
// A record is one document. Its version is the sequence number and the primary
// term that Elasticsearch gives to every write, and the condition of a write is
// Elasticsearch's own optimistic concurrency control. A write is acknowledged
// when the server has synced its translog.
//
// Reading one record asks the shard itself, past what searches see. A list
// refreshes the index first, which costs nothing when nothing was written, and
// therefore holds every write that was acknowledged to anybody.
//
// The index is made when the store is opened. If it vanishes later, calls fail:
// a server without keys would be open to everybody. A [Driver] is safe for
// concurrent use.
package elastic
