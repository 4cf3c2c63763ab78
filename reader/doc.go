// Package reader extracts answers from candidates. A [Reader] joins the
// question with every passage, lets the language model and the span head score
// all windows and decodes the best valid spans.
//
// The score of a span is its margin: the logits of its start and end less those
// of the null answer of the same window. Margins are comparable across windows,
// passages and documents because nothing is normalised within a passage (the
// "no-answer" option of Clark and Gardner, "Simple and Effective
// Multi-Paragraph Reading Comprehension", 2018). A [Reader] is safe for
// concurrent use and owns no native resources; whoever made its [models.Inferencer]
// closes that.
package reader
