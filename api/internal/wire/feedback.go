package wire

// Feedback is the body of POST /v1/feedback.
type Feedback struct {
	Question string `json:"question"`
	Index    string `json:"index,omitempty"`
	// Verdict is correct, wrong, missing or unanswerable.
	Verdict    string `json:"verdict"`
	DocumentID string `json:"document_id,omitempty"`
	// Answer is document.text[start:end], in code points.
	Answer     string `json:"answer,omitempty"`
	Start      int    `json:"start,omitempty"`
	End        int    `json:"end,omitempty"`
	Comment    string `json:"comment,omitempty"`
	Model      string `json:"model,omitempty"`
	Generation int64  `json:"generation,omitempty"`
}

// FeedbackStored answers it.
type FeedbackStored struct {
	ID string `json:"id"`
}

// SQuAD is a data set in the format of SQuAD 2.0.
type SQuAD struct {
	Version string         `json:"version"`
	Data    []SQuADArticle `json:"data"`
	// LeftOut counts feedback that makes no question of a data set: wrong answers,
	// documents that are gone or have changed, verdicts without a document.
	LeftOut int `json:"left_out"`
}

// A SQuADArticle is one document.
type SQuADArticle struct {
	Title      string           `json:"title"`
	Paragraphs []SQuADParagraph `json:"paragraphs"`
}

// A SQuADParagraph is the text of a document with questions about it.
type SQuADParagraph struct {
	DocumentID string          `json:"document_id"`
	Context    string          `json:"context"`
	QAs        []SQuADQuestion `json:"qas"`
}

// A SQuADQuestion is one question; impossible ones have no answers.
type SQuADQuestion struct {
	ID           string        `json:"id"`
	Question     string        `json:"question"`
	IsImpossible bool          `json:"is_impossible"`
	Answers      []SQuADAnswer `json:"answers"`
}

// A SQuADAnswer is a stretch of the context; AnswerStart counts code points.
type SQuADAnswer struct {
	Text        string `json:"text"`
	AnswerStart int    `json:"answer_start"`
}
