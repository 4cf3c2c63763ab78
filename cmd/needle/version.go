package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/internal/buildinfo"
)

// version is that of the program, for records and headers.
func version() string { return buildinfo.Get().Version }

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is, of which commit, and for which platform",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.json {
				return printJSON(cmd.OutOrStdout(), buildinfo.Get())
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), buildinfo.Get())
			return err
		},
	}
}
