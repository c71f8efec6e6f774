package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// command is podd's command line.
func command() *cobra.Command {
	var file string
	flagged := defaultConfig()
	root := &cobra.Command{
		Use:           "podd",
		Short:         "Run Kubernetes pods on this host, without a cluster",
		Long:          "podd runs Kubernetes pods on this host, straight on containerd. It stays in the foreground.",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(file, cmd.Flags().Changed("config"), cmd.Flags(), flagged)
			if err != nil {
				return err
			}
			return runUntilSignal(cmd.Context(), cfg, func() (Config, error) {
				return load(file, cmd.Flags().Changed("config"), cmd.Flags(), flagged)
			})
		},
	}
	root.Flags().StringVar(&file, "config", defaultConfigFile, "configuration file")
	addFlags(root.Flags(), &flagged)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(configCommand(), versionCommand(), backupCommand(), restoreCommand())
	return root
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show or check a configuration", Args: cobra.NoArgs}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // and no argument is taken
	cmd.AddCommand(configDefaultCommand(), &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file",
		Long: "Check a configuration file, " + defaultConfigFile + " unless another is named, and tell everything that is\n" +
			"wrong with it at once. The exit code is 1 then: check before you restart podd.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := defaultConfigFile
			if len(args) == 1 {
				file = args[0]
			}
			if _, err := load(file, true, cmd.Flags(), Config{}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is good\n", file)
			return err
		},
	})
	return cmd
}

func configDefaultCommand() *cobra.Command {
	var idle bool
	cmd := &cobra.Command{
		Use:   "default",
		Short: "Print the default configuration, with what each key is for",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := defaultConfig().text(idle)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&idle, "commented-out", false, "every key as a comment: a file to begin with, which changes nothing")
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := readBuild()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "podd %s (commit %s, %s, Kubernetes %s)\n",
				b.Version, b.Commit, b.GoVersion, b.KubernetesVersion)
			return err
		},
	}
}

// runUntilSignal runs the daemon until TERM or INT. A second signal ends it at
// once, which leaves nothing that the next podd could not go on from.
func runUntilSignal(ctx context.Context, cfg Config, reread func() (Config, error)) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	return runDaemon(ctx, cfg, reread)
}
