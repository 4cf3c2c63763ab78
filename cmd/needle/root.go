package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// defaultConfigFile is read when it is there and --config is not given.
const defaultConfigFile = "needle.yaml"

// app holds the flags that every command has.
type app struct {
	configFile string
	dataDir    string
	indexName  string
	serverURL  string
	json       bool

	// reader, where it is set, changes what the configuration says of the
	// reader.
	reader   func(*pipeline.Config)
	registry *pipeline.Registry
	// recorded, where it is set, takes the place of the configuration file.
	recorded *pipeline.Config
}

func newRootCommand() *cobra.Command {
	a := &app{registry: builtin.Registry()}
	root := &cobra.Command{
		Use:           "needle",
		Short:         "Ask your own documents, get exact answers with their source",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "configuration file (default: "+defaultConfigFile+" if it is there)")
	flags.StringVar(&a.dataDir, "data", "", "data directory (default: the configuration's, ./needle-data)")
	flags.StringVar(&a.indexName, "index", "", "index (default: the configuration's, \"default\")")
	flags.StringVar(&a.serverURL, "server", "", "work through the server at this URL, for example http://127.0.0.1:8080")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(
		a.quickstartCommand(), a.setupCommand(), a.doctorCommand(),
		a.indexCommand(), a.askCommand(), a.searchCommand(), a.serveCommand(),
		a.evalCommand(), a.canaryCommand(), a.questionsCommand(), a.calibrateCommand(), a.benchCommand(), a.modelsCommand(), a.trainCommand(), a.keysCommand(), a.versionCommand(),
		a.feedbackCommand(), a.shadowCommand(), a.compareCommand(), a.exportCommand(),
	)
	return root
}

// config loads the configuration and applies the flags over it.
func (a *app) config() (*pipeline.Config, error) {
	if a.recorded != nil {
		cfg := *a.recorded
		return &cfg, nil
	}
	path := a.configFile
	if path == "" {
		if _, err := os.Stat(defaultConfigFile); err == nil {
			path = defaultConfigFile
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	cfg, err := pipeline.LoadConfig(path, a.registry)
	if err != nil {
		return nil, err
	}
	if a.dataDir != "" {
		cfg.Data = a.dataDir
	}
	if a.indexName != "" {
		cfg.Index = a.indexName
	}
	if a.reader != nil {
		a.reader(cfg)
	}
	return cfg, cfg.Validate()
}

func logger(cfg *pipeline.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
