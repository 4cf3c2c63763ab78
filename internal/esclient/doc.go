// Package esclient speaks JSON with an Elasticsearch cluster: it signs in,
// checks certificates, spreads requests over the nodes and tries again what may
// succeed later.
//
//	client, err := esclient.New(config)
//	defer client.Close()
//	err = client.Do(ctx, esclient.Request{Method: http.MethodGet, Path: "/_cat/health"}, &answer)
//
// It is the only package that knows the client library. What the answers mean is
// known by those who send the requests: the retriever and the store. A [Client]
// is safe for concurrent use.
package esclient
