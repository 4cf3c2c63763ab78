package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/store"
)

func (a *app) feedbackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "feedback",
		Short: "Review what users say of answers, and make data sets of it",
		Long: `Everything that was said of one question is a case. Voices that agree settle it,
and so does a review: accept what is right, reject what is not. What is settled
is a data set for needle eval, calibrate, train head and canary add.`,
	}
	cmd.AddCommand(a.feedbackListCommand(), a.feedbackShowCommand(), a.feedbackExportCommand())
	for _, d := range []struct {
		name, short string
		decision    store.Decision
	}{
		{"accept", "Say that feedback is right; what contradicts it is overruled", store.Accepted},
		{"reject", "Say that feedback is not right; it counts no longer", store.Rejected},
		{"reopen", "Take a decision back", store.Undecided},
	} {
		cmd.AddCommand(a.feedbackDecideCommand(d.name, d.short, d.decision))
	}
	return cmd
}

// A feedbackBook is the feedback about an index: in a store of our own, or
// behind a running server.
type feedbackBook interface {
	cases(ctx context.Context) ([]store.Case, error)
	review(ctx context.Context, ids []string, decision store.Decision, note string) ([]store.Case, error)
}

// withFeedback gives a command the feedback about the configured index.
func (a *app) withFeedback(ctx context.Context, do func(book feedbackBook) error) (err error) {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	service, err := a.server(ctx, cfg)
	if err != nil {
		return err
	}
	if service != nil {
		return do(remoteFeedback{service, a.indexName})
	}
	kept, err := cfg.OpenStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	return do(storedFeedback{kept, cfg.Index, cfg.Monitor.Feedback.Judging()})
}

// storedFeedback is a store that no server holds.
type storedFeedback struct {
	kept    *store.Store
	index   string
	judging store.Judging
}

func (s storedFeedback) cases(ctx context.Context) ([]store.Case, error) {
	return s.kept.Cases(ctx, s.index, s.judging)
}

func (s storedFeedback) review(ctx context.Context, ids []string, decision store.Decision, note string) ([]store.Case, error) {
	reviewed, err := s.kept.ReviewFeedback(ctx, s.index, ids, decision, auth.LocalID, note)
	if err != nil {
		return nil, err
	}
	all, err := s.cases(ctx)
	return slices.DeleteFunc(all, func(c store.Case) bool {
		return !slices.ContainsFunc(c.Judgements, func(j store.Judgement) bool {
			return slices.ContainsFunc(reviewed, func(f store.Feedback) bool { return f.ID == j.ID })
		})
	}), err
}

func (a *app) feedbackListCommand() *cobra.Command {
	var state string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the questions that there is feedback about, the last one first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if state != "" && !slices.Contains(store.CaseStates(), store.CaseState(state)) {
				return fmt.Errorf("feedback: list: --state %s; allowed are open, disputed, agreed, reviewed, quarantined", state)
			}
			return a.withFeedback(cmd.Context(), func(book feedbackBook) error {
				all, err := book.cases(cmd.Context())
				if err != nil {
					return err
				}
				counts := make(map[store.CaseState]int)
				for _, c := range all {
					counts[c.State]++
				}
				shown := slices.DeleteFunc(all, func(c store.Case) bool { return state != "" && string(c.State) != state })
				if limit > 0 {
					shown = shown[:min(limit, len(shown))]
				}
				if a.json {
					return printJSON(cmd.OutOrStdout(), map[string]any{"counts": counts, "cases": reportCases(shown)})
				}
				return printCases(cmd.OutOrStdout(), shown, counts)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only cases in this state: open, disputed, agreed, reviewed or quarantined")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many to list; 0 lists all")
	return cmd
}

func printCases(w io.Writer, cases []store.Case, counts map[store.CaseState]int) error {
	var summary []string
	for _, state := range store.CaseStates() {
		if counts[state] > 0 {
			summary = append(summary, fmt.Sprintf("%d %s", counts[state], state))
		}
	}
	if len(summary) == 0 {
		fmt.Fprintln(w, "there is no feedback about this index")
		return nil
	}
	fmt.Fprintln(w, strings.Join(summary, ", "))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STATE\tID\tVERDICT\tSTANDING\tWEIGHT\tSAID")
	for _, c := range cases {
		fmt.Fprintf(table, "%s\t%s\t\t\t\t%s\n", c.State, c.ID, printable(c.Question))
		for _, j := range c.Judgements {
			mark := ""
			if j.Disputed {
				mark = " (disputed)"
			}
			fmt.Fprintf(table, "\t%s\t%s\t%s%s\t%.2f\t%s\n", j.Handle(), j.Verdict, j.Standing, mark, j.Weight, printable(clipText(cmp.Or(j.Answer, j.Comment, "-"), 60)))
		}
	}
	return table.Flush()
}

func clipText(text string, length int) string {
	runes := []rune(text)
	if len(runes) <= length {
		return text
	}
	return string(runes[:length-1]) + "…"
}

func (a *app) feedbackShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show all that was said of one question",
		Long:  "ID is that of a case, or the eight letters of one of its judgements, as needle feedback list prints them.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withFeedback(cmd.Context(), func(book feedbackBook) error {
				all, err := book.cases(cmd.Context())
				if err != nil {
					return err
				}
				for _, c := range all {
					if c.ID == args[0] || slices.ContainsFunc(c.Judgements, func(j store.Judgement) bool { return j.ID == args[0] || j.Handle() == args[0] }) {
						if a.json {
							return printJSON(cmd.OutOrStdout(), reportCases([]store.Case{c})[0])
						}
						printCase(cmd.OutOrStdout(), c)
						return nil
					}
				}
				return fmt.Errorf("feedback: show: %w: %q; needle feedback list shows what there is", store.ErrFeedbackNotFound, args[0])
			})
		},
	}
}

func printCase(w io.Writer, c store.Case) {
	fmt.Fprintf(w, "%s\n%s, case %s\n", printable(c.Question), c.State, c.ID)
	for _, s := range c.Answers {
		fmt.Fprintf(w, "right: %q in %s, %d to %d; for it %.2f, against it %.2f\n", s.Answer, printable(s.DocumentID), s.Start, s.End, s.For, s.Against)
	}
	if c.Unanswerable {
		fmt.Fprintln(w, "right: the documents hold no answer")
	}
	for _, s := range c.Candidates {
		fmt.Fprintf(w, "not settled: %q in %s, %d to %d; for it %.2f, against it %.2f\n", s.Answer, printable(s.DocumentID), s.Start, s.End, s.For, s.Against)
	}
	for _, j := range c.Judgements {
		fmt.Fprintf(w, "\n%s  %s  %s, weight %.2f, by %s", j.Handle(), j.At.Format("2006-01-02 15:04"), j.Standing, j.Weight, printable(j.By))
		if j.User != "" {
			fmt.Fprintf(w, " for user %s", j.User)
		}
		fmt.Fprintf(w, "\n  %s", j.Verdict)
		if j.Answer != "" {
			fmt.Fprintf(w, ": %q in %s, %d to %d", j.Answer, printable(j.DocumentID), j.Start, j.End)
		}
		if j.ReplacesEnd > 0 {
			fmt.Fprintf(w, ", instead of %d to %d", j.ReplacesStart, j.ReplacesEnd)
		}
		fmt.Fprintln(w)
		if j.Comment != "" {
			fmt.Fprintf(w, "  comment: %s\n", printable(j.Comment))
		}
		if j.Decision != store.Undecided {
			fmt.Fprintf(w, "  %s by %s on %s: %s\n", j.Decision, printable(j.ReviewedBy), j.ReviewedAt.Format("2006-01-02 15:04"), printable(cmp.Or(j.Note, "no note")))
		}
	}
}

func (a *app) feedbackDecideCommand(name, short string, decision store.Decision) *cobra.Command {
	var note, by string
	var all bool
	cmd := &cobra.Command{
		Use:   name + " [ID...]",
		Short: short,
		Long: `ID is the eight letters that needle feedback list prints. --by takes all feedback of
one key or user, --all everything that waits.`,
	}
	cmd.Flags().StringVar(&note, "note", "", "why")
	cmd.Flags().StringVar(&by, "by", "", "all feedback of this key or user that is pending or quarantined")
	cmd.Flags().BoolVar(&all, "all", false, "all feedback that is pending, where nobody contradicts it")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if len(ids) == 0 && by == "" && !all {
			return fmt.Errorf("feedback: %s: name feedback by id, --by or --all", name)
		}
		return a.withFeedback(cmd.Context(), func(book feedbackBook) error {
			if by != "" || all {
				known, err := book.cases(cmd.Context())
				if err != nil {
					return err
				}
				ids = append(ids, waiting(known, by, all)...)
			}
			if len(ids) == 0 {
				fmt.Fprintln(os.Stderr, "nothing waits for a review")
				return nil
			}
			var changed []store.Case
			for part := range slices.Chunk(ids, 500) {
				cases, err := book.review(cmd.Context(), part, decision, note)
				if err != nil {
					return err
				}
				changed = append(changed, cases...)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), map[string]any{"reviewed": len(ids), "cases": reportCases(changed)})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d reviewed\n", len(ids))
			for _, c := range changed {
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", c.State, printable(c.Question))
			}
			return nil
		})
	}
	return cmd
}

// waiting returns the ids of feedback that nobody has reviewed.
func waiting(cases []store.Case, by string, all bool) []string {
	var ids []string
	for _, c := range cases {
		for _, j := range c.Judgements {
			mine := by != "" && (j.By == by || j.User == by) && (j.Standing == store.StandingPending || j.Standing == store.StandingQuarantined)
			calm := all && by == "" && j.Standing == store.StandingPending && !j.Disputed
			if mine || calm {
				ids = append(ids, j.ID)
			}
		}
	}
	return ids
}
