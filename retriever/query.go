package retriever

// A Query asks for the best candidates of one index.
type Query struct {
	// Text is natural language; the back end analyses it like the documents.
	Text string
	// TopK is how many hits are wanted, at least 1.
	TopK int
	// Filter narrows the candidates; nil lets all pass.
	Filter *Filter
	// Groups are the caller's groups. A document with groups is seen only by a
	// caller who shares one; see AllGroups.
	Groups []string
	// AllGroups lifts the group check, for callers with full access (the
	// command line on its own files, an administrator).
	AllGroups bool
	// Explain asks for the terms of the score in [Hit.Explanation].
	Explain bool
}

// A Hit (candidate) is a passage with the scores that it has collected so far.
type Hit struct {
	Passage
	Title    string
	Source   Source
	Metadata map[string]any
	Scores   Scores
	// Ref is how the index that returned the hit finds the passage again; it
	// may be empty and means nothing to others. See [VectorStore].
	Ref string
	// Explanation says how the retrieval score came about, only on request.
	Explanation []TermScore
}

// Scores is the provenance of a candidate's rank. A nil field was not computed.
type Scores struct {
	// BM25 is the retrieval score: non-negative, without upper bound,
	// comparable only within one query on one index.
	BM25 float64 `json:"bm25"`
	// Vector is the cosine of question and passage embedding, from -1 to 1.
	Vector *float64 `json:"vector,omitempty"`
	// Relevance is the logit of the cross-encoder relevance head.
	Relevance *float64 `json:"relevance,omitempty"`
}

// TermScore is the share of one analysed query term in a BM25 score.
type TermScore struct {
	Term              string  `json:"term"`
	TermFrequency     int     `json:"term_frequency"`
	DocumentFrequency int     `json:"document_frequency"`
	IDF               float64 `json:"idf"`
	Score             float64 `json:"score"`
}

// Results is the answer to a [Query].
type Results struct {
	// Hits are ordered by falling score; ties by document id, then by start.
	Hits []Hit
	// Generation is the index generation that was searched.
	Generation uint64
	// Terms are the analysed terms of the query, without stop words. A query
	// without any cannot find anything.
	Terms []string
}

// Statistics describes an index.
type Statistics struct {
	Name       string `json:"name"`
	Documents  uint64 `json:"documents"`
	Passages   uint64 `json:"passages"`
	Generation uint64 `json:"generation"`
	// Bytes is the size on disk, 0 when the back end cannot tell.
	Bytes int64 `json:"bytes"`
	// Analyzer names the text analysis, for example "en".
	Analyzer string `json:"analyzer"`
	// K1 and B are the BM25 parameters in force.
	K1 float64 `json:"k1"`
	B  float64 `json:"b"`
	// AverageLength is the mean number of indexed terms of a passage.
	AverageLength float64 `json:"average_length"`
	// Fields are the metadata fields and their types.
	Fields map[string]FieldType `json:"fields,omitempty"`
	// Outdated says what of the configuration the index was built without; it
	// takes force when the index is rebuilt.
	Outdated []string `json:"outdated,omitempty"`
	// Vectors says for each model how many passages have a vector.
	Vectors []VectorStatistics `json:"vectors,omitempty"`
	// Restricted says that the caller may not see all documents, so the counts
	// and sizes are left out (0).
	Restricted bool `json:"restricted,omitempty"`
}

// VectorStatistics describes the vectors of one model.
type VectorStatistics struct {
	// Model is the hash of the model that made the vectors.
	Model string `json:"model"`
	VectorCoverage
}
