package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/podd-io/podd/agent/store"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// storeFile is the store's, under the root.
const storeFile = "podd.db"

func backupCommand() *cobra.Command {
	var config, address string
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a copy of podd's store, while podd runs",
		Long: "Write a copy of the running podd's store to FILE, which only its owner may read: all objects, what podd\n" +
			"remembers of pods, and events. The values of Secrets are in it. Volumes, images and logs are not, nor are the\n" +
			"files of the manifests directory. podd restore takes it.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if address == "" {
				cfg, err := load(config, cmd.Flags().Changed("config"), cmd.Flags(), Config{})
				if err != nil {
					return err
				}
				address = localEndpoint(cfg)
			}
			return backup(cmd.Context(), address, args[0])
		},
	}
	cmd.Flags().StringVar(&config, "config", defaultConfigFile, "podd's configuration file, which tells where it listens")
	cmd.Flags().StringVar(&address, "address", "", "podd's control endpoint, unix:///PATH (default as in the configuration)")
	return cmd
}

func restoreCommand() *cobra.Command {
	var config, root string
	var force bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make podd's store from a backup, while podd is stopped",
		Long: "Make podd's store from a backup, after checking it; podd has to be stopped. When podd starts, pods of the backup\n" +
			"that still run on this host are taken up as they are, the others start afresh, and pods that are not in it are\n" +
			"removed. A store that is there is replaced with --force only, and then kept as " + storeFile + ".before-restore beside it.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if root == "" {
				cfg, err := load(config, cmd.Flags().Changed("config"), cmd.Flags(), Config{})
				if err != nil {
					return err
				}
				root = cfg.Root
			}
			return restore(args[0], root, force, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&config, "config", defaultConfigFile, "podd's configuration file, which tells the root")
	cmd.Flags().StringVar(&root, "root", "", "podd's root (default as in the configuration)")
	cmd.Flags().BoolVar(&force, "force", false, "replace the store that is there")
	return cmd
}

// localEndpoint is the first that is a unix socket; empty without one.
func localEndpoint(cfg Config) string {
	i := slices.IndexFunc(cfg.Listen, func(l string) bool { return strings.HasPrefix(l, "unix://") })
	if i < 0 {
		return ""
	}
	return cfg.Listen[i]
}

// backup writes the file whole or not at all.
func backup(ctx context.Context, address, file string) (err error) {
	if !strings.HasPrefix(address, "unix://") {
		return fmt.Errorf("back up podd: %q is no unix socket: name one by --address", address)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("back up podd at %s: %w", address, err)
	}
	defer conn.Close()
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = receive(ctx, poddv1.NewNodeClient(conn), f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("back up podd at %s: %w", address, err)
	}
	return os.Rename(f.Name(), file)
}

func receive(ctx context.Context, node poddv1.NodeClient, w io.Writer) error {
	stream, err := node.Backup(ctx, &poddv1.BackupRequest{})
	if err != nil {
		return err
	}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(piece.Data); err != nil {
			return err
		}
	}
}

func restore(file, root string, force bool, out io.Writer) error {
	held, err := lock(root)
	if err != nil {
		return fmt.Errorf("podd has to be stopped: %w", err)
	}
	defer held.Close()
	path := filepath.Join(root, storeFile)
	c, err := store.Restore(file, path, force)
	switch {
	case errors.Is(err, store.ErrThere):
		return fmt.Errorf("%w: --force replaces it, and keeps it as %s.before-restore", err, storeFile)
	case err != nil:
		return err
	}
	by := ""
	if c.Writer != "" {
		by = ", of podd " + c.Writer
	}
	_, err = fmt.Fprintf(out, "%s has %d objects, %d pods among them%s: start podd\n", path, c.Objects, c.Pods, by)
	return err
}
