package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func (a *app) askCommand() *cobra.Command {
	request := pipeline.Request{Access: pipeline.FullAccess()}
	var filter string
	cmd := &cobra.Command{
		Use:     `ask "QUESTION"`,
		Short:   "Answer a question from the index",
		Args:    cobra.ExactArgs(1),
		Example: `  needle ask "How many days of leave do I have?" --top-k 5`,
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Question, request.Index = args[0], a.indexName
			var err error
			if request.Filter, err = parseFilter(filter); err != nil {
				return err
			}
			service, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer service.Close()
			result, err := service.Ask(cmd.Context(), request)
			if err != nil {
				return missingIndex(err)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), result)
			}
			printAnswers(cmd.OutOrStdout(), result, request.Explain)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&request.TopK, "top-k", 0, "number of answers (default: the configuration's, 3)")
	flags.DurationVar(&request.Budget, "budget", 0, "answer within this time with what was read so far, for example 300ms")
	flags.BoolVar(&request.Explain, "explain", false, "show every score and the candidates that were read")
	flags.BoolVar(&request.IncludeRejected, "include-rejected", false, "show what was found too weak to be an answer")
	flags.StringVar(&request.OffsetUnit, "offset-unit", "", "codepoint (default), byte or utf16")
	flags.StringVar(&filter, "filter", "", `only documents that match: JSON or YAML such as '{field: team, equals: sales}', or @FILE`)
	return cmd
}

func (a *app) searchCommand() *cobra.Command {
	request := pipeline.SearchRequest{Access: pipeline.FullAccess()}
	var filter string
	var facets []string
	cmd := &cobra.Command{
		Use:   `search "QUERY"`,
		Short: "Find passages without reading them",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Query, request.Index = args[0], a.indexName
			var err error
			if request.Filter, err = parseFilter(filter); err != nil {
				return err
			}
			if request.Facets, err = parseFacets(facets); err != nil {
				return err
			}
			service, err := a.connect(cmd.Context(), pipeline.WithoutReader())
			if err != nil {
				return err
			}
			defer service.Close()
			result, err := service.Search(cmd.Context(), request)
			if err != nil {
				return missingIndex(err)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), result)
			}
			printHits(cmd.OutOrStdout(), result)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&request.TopK, "top-k", 0, "number of passages (default 10)")
	flags.BoolVar(&request.Explain, "explain", false, "show the terms that made each score")
	flags.StringVar(&request.OffsetUnit, "offset-unit", "", "codepoint (default), byte or utf16")
	flags.StringVar(&filter, "filter", "", "only documents that match: JSON, YAML or @FILE")
	flags.StringArrayVar(&facets, "facet", nil, `count the documents found by a field: its name, or '{"field": "year", "ranges": [{"gte": 2020}]}'; may be repeated`)
	return cmd
}

func parseFilter(text string) (*retriever.Filter, error) {
	if text == "" {
		return nil, nil
	}
	data := []byte(text)
	if path, ok := strings.CutPrefix(text, "@"); ok {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
	}
	return pipeline.ParseFilter(data)
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// style marks text on a terminal and nowhere else.
type style bool

func styleFor(w io.Writer) style {
	f, ok := w.(*os.File)
	return style(ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "")
}

func (s style) bold(text string) string {
	if !s {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

func (s style) dim(text string) string {
	if !s {
		return text
	}
	return "\x1b[2m" + text + "\x1b[0m"
}

func printAnswers(w io.Writer, r *pipeline.Result, explain bool) {
	s := styleFor(w)
	switch {
	case r.Answerable:
		printAnswerList(w, s, r.Answers, explain)
	case r.CandidatesRead > 0 || len(r.Candidates) == 0:
		fmt.Fprintf(w, "No answer found in index %q (probability that it holds none: %.0f %%).\n", r.Index, 100*r.NoAnswerProbability)
		if len(r.Rejected) > 0 {
			fmt.Fprintln(w, "Too weak to be called an answer:")
			printAnswerList(w, s, r.Rejected, explain)
		}
	}
	if !r.Complete {
		fmt.Fprintf(w, "Not complete: %d candidates were read.\n", r.CandidatesRead)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, "Warning:", printable(warning))
	}
	for i, c := range r.Candidates {
		fmt.Fprintf(w, "%s\n", s.dim(fmt.Sprintf("candidate %2d  bm25 %7.3f%s  %s [%d:%d]", i+1, c.Scores.BM25, rankScores(c.Scores), c.DocumentID, c.Start, c.End)))
		if explain {
			printTerms(w, s, c.Terms)
		}
	}
	fmt.Fprintln(w, s.dim(fmt.Sprintf("%d passages read in %.0f ms (find %.0f, read %.0f), model %s %s, index %s at generation %d",
		r.CandidatesRead, r.TimingsMS["total"], r.TimingsMS["retrieve"], r.TimingsMS["infer"], r.Model.Name, short(r.Model.Hash), r.Index, r.Generation)))
}

func printAnswerList(w io.Writer, s style, answers []pipeline.Answer, explain bool) {
	for i, a := range answers {
		fmt.Fprintf(w, "%d. %s  %s\n", i+1, s.bold(oneLine(a.Text)), s.dim(fmt.Sprintf("(probability %.2f)", a.Probability)))
		before, answer, after := around(a)
		fmt.Fprintf(w, "   ...%s%s%s...\n", oneLine(before), s.bold(oneLine(answer)), oneLine(after))
		place := printable(a.DocumentID)
		if a.Source.Page > 0 {
			place += fmt.Sprintf(", page %d", a.Source.Page)
		}
		if len(a.Source.Headings) > 0 {
			place += " > " + printable(strings.Join(a.Source.Headings, " > "))
		}
		fmt.Fprintf(w, "   %s\n", s.dim(fmt.Sprintf("%s [%d:%d]", place, a.Start, a.End)))
		if explain {
			fmt.Fprintf(w, "   %s\n", s.dim(fmt.Sprintf("fused %.3f, span logit %.3f, null logit %.3f, bm25 %.3f%s", a.Scores.Fused, a.Scores.SpanLogit, a.Scores.NullLogit, a.Scores.BM25, rankScores(a.Scores.Scores))))
		}
	}
}

// around cuts the context at the answer. The offsets are in the unit of the
// request, so the answer is looked for where code points would put it first.
func around(a pipeline.Answer) (before, answer, after string) {
	runes := []rune(a.Context)
	if a.ContextStart <= a.ContextEnd && a.ContextEnd <= len(runes) && string(runes[a.ContextStart:a.ContextEnd]) == a.Text {
		return string(runes[:a.ContextStart]), a.Text, string(runes[a.ContextEnd:])
	}
	before, after, _ = strings.Cut(a.Context, a.Text)
	return before, a.Text, after
}

func printHits(w io.Writer, r *pipeline.SearchResult) {
	s := styleFor(w)
	if len(r.Hits) == 0 {
		fmt.Fprintf(w, "Nothing found in index %q.\n", r.Index)
	}
	for i, h := range r.Hits {
		fmt.Fprintf(w, "%d. %s %s\n", i+1, s.bold(printable(cmp.Or(h.Title, h.DocumentID))), s.dim(fmt.Sprintf("(bm25 %.3f%s)", h.Scores.BM25, rankScores(h.Scores))))
		text := []rune(oneLine(h.Text))
		if len(text) > 240 {
			text = append(text[:240], '.', '.', '.')
		}
		fmt.Fprintf(w, "   %s\n   %s\n", string(text), s.dim(fmt.Sprintf("%s [%d:%d]", printable(h.DocumentID), h.Start, h.End)))
		printTerms(w, s, h.Terms)
	}
	printFacets(w, s, r)
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, "Warning:", warning)
	}
	fmt.Fprintln(w, s.dim(fmt.Sprintf("%d passages in %.1f ms, index %s at generation %d", len(r.Hits), r.TimingsMS["total"], r.Index, r.Generation)))
}

func printTerms(w io.Writer, s style, terms []retriever.TermScore) {
	for _, t := range terms {
		fmt.Fprintf(w, "   %s\n", s.dim(fmt.Sprintf("%-20s %7.3f = idf %.3f, %d in the passage, in %d passages", printable(t.Term), t.Score, t.IDF, t.TermFrequency, t.DocumentFrequency)))
	}
}

// oneLine makes text of a document fit to print: no line breaks, and no control
// characters that a terminal would obey. White space at the ends stays, so that
// pieces can be joined.
func oneLine(text string) string {
	return printable(lineBreaks.ReplaceAllString(text, " "))
}

var lineBreaks = regexp.MustCompile(`[ \t]*[\r\n\t]\s*`)

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

func short(hash string) string { return hash[:min(12, len(hash))] }

// elapsed prints seconds in a width that people read.
func elapsed(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }
