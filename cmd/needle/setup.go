package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models/onnx"
)

func (a *app) setupCommand() *cobra.Command {
	var from, sha256 string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Fetch ONNX Runtime once, if it is not there",
		Long: `Looks for ONNX Runtime in the configuration (runtime.library), in NEEDLE_ORT_LIB,
in the system's library directories and in the cache. If it is nowhere, it is
fetched once by package name, through pip, mvn or npm, and checked. In a closed
network pass --from with a library, an archive, a directory or an address.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			return setupRuntime(cmd.Context(), cmd.OutOrStdout(), onnx.SetupOptions{Path: cfg.Runtime.Library, From: from, SHA256: sha256})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "a library file, an archive (.tgz, .zip, .jar, .whl), a directory or an http(s) address")
	cmd.Flags().StringVar(&sha256, "sha256", "", "the SHA-256 of what --from names, where Needle does not know it")
	return cmd
}

// ensureRuntime is setup for the configured library.
func (a *app) ensureRuntime(ctx context.Context, out io.Writer) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	return setupRuntime(ctx, out, onnx.SetupOptions{Path: cfg.Runtime.Library})
}

func setupRuntime(ctx context.Context, out io.Writer, options onnx.SetupOptions) error {
	var b *bar
	step := ""
	end := func() {
		if b != nil {
			b.Close()
			b = nil
		}
	}
	defer end()
	options.Progress = func(now string, done, total int64) {
		if now != step {
			end()
			step, b = now, newByteBar(now, total)
		}
		b.SetTotal(total)
		b.Set(done)
	}
	library, err := onnx.Setup(ctx, options)
	end()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ONNX Runtime %s: %s (%s)\n", library.Version, library.Path, library.Origin)
	return nil
}
