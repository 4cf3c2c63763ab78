// Package retriever is the vocabulary of retrieval: documents, passages,
// queries, filters and hits, and the small interfaces that a back end
// implements. It imports the standard library only; the embedded default lives
// in retriever/bleve. Every implementation passes the conformance suite in
// retriever/retrievertest.
//
// A back end keeps named, isolated indexes. An index holds documents; each
// document is stored together with the passages that its text was split into.
// A write that returned without an error survives kill -9 and power loss, and a
// document is replaced or deleted as a whole, never in part.
//
// All positions are Unicode code points counted from the start of
// [Document.Text], unless a comment says otherwise.
package retriever
