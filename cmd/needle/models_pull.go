package main

import (
	"cmp"
	"fmt"
	"os"
	"path"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models/hub"
)

func (a *app) modelsPullCommand() *cobra.Command {
	config := hub.Config{Token: os.Getenv("HF_TOKEN")}
	var revision, directory string
	cmd := &cobra.Command{
		Use:   "pull OWNER/NAME",
		Short: "Fetch a model from a Hugging Face-compatible hub into a directory",
		Long: `Fetches config, tokenizer and ONNX graphs of a model at one commit, checks them
against the hashes that the hub states, and opens them as a bundle. What was cut
off goes on with the next call. The hub or a mirror of it is named by --hub or
HF_ENDPOINT; a token is taken from HF_TOKEN; HF_HUB_OFFLINE=1 is --offline.`,
		Example: `  needle models pull --hub https://hub.example.com deepset/roberta-base-squad2 --dir ./roberta`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if config.Endpoint == "" && !config.Offline {
				return fmt.Errorf("models: pull: no hub is named: pass --hub URL or set HF_ENDPOINT")
			}
			var b *bar
			file := ""
			end := func() {
				if b != nil {
					b.Close()
				}
			}
			config.Progress = func(name string, done, total int64) {
				if name != file {
					end()
					file, b = name, newByteBar(name, total)
				}
				b.Set(done)
			}
			result, err := hub.Pull(cmd.Context(), config, args[0], revision, cmp.Or(directory, path.Base(args[0])))
			end()
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), result)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s at %s is in %s (hash %s, %s fetched)\nCheck it with: needle models verify %s\n",
				result.Repo, short(result.Commit), result.Directory, short(result.Hash), megabytes(result.Fetched), result.Directory)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Endpoint, "hub", os.Getenv("HF_ENDPOINT"), "address of the hub or of a mirror (default: HF_ENDPOINT)")
	flags.StringVar(&revision, "revision", "main", "branch, tag or commit")
	flags.StringVar(&directory, "dir", "", "directory to make (default: the name of the model)")
	flags.BoolVar(&config.Offline, "offline", os.Getenv("HF_HUB_OFFLINE") == "1", "fetch nothing: check what was pulled earlier")
	flags.StringSliceVar(&config.Precisions, "precision", nil, "graphs to take: fp32, fp16, int8 (default: all there are)")
	return cmd
}
