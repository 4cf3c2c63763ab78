package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/store"
)

// keyring is a store of our own, or one behind a running server.
type keyring interface {
	CreateKey(ctx context.Context, k store.Key) (stored store.Key, secret string, err error)
	Keys(ctx context.Context) ([]store.Key, error)
	RevokeKey(ctx context.Context, id string) (store.Key, error)
}

func (a *app) keysCommand() *cobra.Command {
	keys := &cobra.Command{
		Use:   "keys",
		Short: "Create, list and revoke API keys",
		Long: `API keys say who may use the server. As soon as there is one, every request
needs one; tools on the server's machine that can read the data directory go on
without.`,
	}
	keys.AddCommand(a.keysCreateCommand(), a.keysListCommand(), a.keysRevokeCommand())
	return keys
}

// withKeys gives a command the keys of the data directory, or of the server.
func (a *app) withKeys(ctx context.Context, do func(keyring) error) (err error) {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	service, err := a.server(ctx, cfg)
	if err != nil {
		return err
	}
	if service != nil {
		return do(service)
	}
	kept, err := cfg.OpenStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	return do(kept)
}

// keyReport is a key as it is printed.
type keyReport struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Roles     []string  `json:"roles"`
	Groups    []string  `json:"groups,omitempty"`
	AllGroups bool      `json:"all_groups,omitempty"`
	Rate      float64   `json:"rate,omitempty"`
	Burst     int       `json:"burst,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	Status    string    `json:"status"`
	Key       string    `json:"key,omitempty"`
}

func reportKey(k store.Key) keyReport {
	status := "valid"
	switch {
	case !k.RevokedAt.IsZero():
		status = "revoked"
	case !k.Valid(time.Now()):
		status = "expired"
	}
	return keyReport{
		ID: k.ID, Name: k.Name, Roles: k.Grants.Strings(), Groups: k.Groups, AllGroups: k.AllGroups, Rate: k.Rate, Burst: k.Burst,
		CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, Status: status,
	}
}

func printKey(w io.Writer, k keyReport) {
	groups := strings.Join(k.Groups, ",")
	if k.AllGroups {
		groups = "all"
	}
	fmt.Fprintf(w, "%s  %s  %s  roles %s  groups %s", k.ID, k.Status, printable(k.Name), strings.Join(k.Roles, ","), printable(cmp.Or(groups, "none")))
	if k.Rate > 0 {
		fmt.Fprintf(w, "  %g requests/s", k.Rate)
	}
	if !k.ExpiresAt.IsZero() {
		fmt.Fprintf(w, "  expires %s", k.ExpiresAt.Format(time.RFC3339))
	}
	fmt.Fprintln(w)
}

func (a *app) keysCreateCommand() *cobra.Command {
	var k store.Key
	var roles []string
	var expires string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key; it is shown once",
		Long: `Makes an API key and prints it. Only its hash is kept, so it cannot be shown
again. Roles, on all indexes or, as ROLE:INDEX, on one:

  search   ask, search, read documents, give feedback
  write    add, replace and delete documents
  admin    everything with an index; on all indexes also keys and settings
  monitor  read metrics

Documents with groups are seen, and may be written, by keys that have one of the
groups; those without groups by every key of the index.`,
		Example: `  needle keys create --name website --role search:handbook
  needle keys create --name sync --role write:handbook --all-groups --expires 90d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if k.Grants, err = auth.ParseGrants(roles); err != nil {
				return fmt.Errorf("keys create: %w", err)
			}
			if k.ExpiresAt, err = expiry(expires, time.Now()); err != nil {
				return fmt.Errorf("keys create: %w", err)
			}
			return a.withKeys(cmd.Context(), func(ring keyring) error {
				stored, secret, err := ring.CreateKey(cmd.Context(), k)
				if err != nil {
					return err
				}
				report := reportKey(stored)
				report.Key = secret
				if a.json {
					return printJSON(cmd.OutOrStdout(), report)
				}
				// The key alone goes to the standard output, for scripts.
				printKey(os.Stderr, report)
				fmt.Fprintln(os.Stderr, "Keep the key now: it is not stored and cannot be shown again.")
				fmt.Fprintln(cmd.OutOrStdout(), secret)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&k.Name, "name", "", "what the key is for")
	f.StringArrayVar(&roles, "role", nil, "search, write, admin or monitor, on all indexes, or ROLE:INDEX[,INDEX...]; may be repeated")
	f.StringArrayVar(&k.Groups, "group", nil, "group whose documents the key sees; may be repeated")
	f.BoolVar(&k.AllGroups, "all-groups", false, "the key sees every document")
	f.StringVar(&expires, "expires", "", "when the key ends: a time such as 2030-01-31T00:00:00Z, or 12h or 90d from now")
	f.Float64Var(&k.Rate, "rate", 0, "requests a second; 0 means no limit")
	f.IntVar(&k.Burst, "burst", 0, "requests at once; 0 means as many as --rate has in a second")
	return cmd
}

// expiry reads a time, or a duration from now; days are written as 90d.
func expiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	var days int
	if n, err := fmt.Sscanf(text, "%dd", &days); err == nil && n == 1 && fmt.Sprintf("%dd", days) == text && days > 0 && days < 100_000 {
		return now.AddDate(0, 0, days), nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	return time.Time{}, fmt.Errorf("--expires %q; allowed is a time such as 2030-01-31T00:00:00Z, or a duration such as 12h or 90d", text)
}

func (a *app) keysListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withKeys(cmd.Context(), func(ring keyring) error {
				keys, err := ring.Keys(cmd.Context())
				if err != nil {
					return err
				}
				reports := make([]keyReport, len(keys))
				for i, k := range keys {
					reports[i] = reportKey(k)
				}
				if a.json {
					return printJSON(cmd.OutOrStdout(), reports)
				}
				for _, r := range reports {
					printKey(cmd.OutOrStdout(), r)
				}
				if len(reports) == 0 {
					fmt.Fprintln(os.Stderr, "There are no keys, so the server asks for none.")
				}
				return nil
			})
		},
	}
}

func (a *app) keysRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKeys(cmd.Context(), func(ring keyring) error {
				k, err := ring.RevokeKey(cmd.Context(), args[0])
				if errors.Is(err, store.ErrNotFound) {
					return fmt.Errorf("keys revoke: there is no key %q; needle keys list shows the ids", args[0])
				}
				if err != nil {
					return err
				}
				if a.json {
					return printJSON(cmd.OutOrStdout(), reportKey(k))
				}
				printKey(cmd.OutOrStdout(), reportKey(k))
				return nil
			})
		},
	}
}
