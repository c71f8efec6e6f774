package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/podd-io/podd/runtime/daemon"
)

// hostContainerd is where a containerd of the host's own listens.
const hostContainerd = "/run/containerd/containerd.sock"

// choice is which containerd a root's pods are in. It is made once, kept in the
// file containerd.choice under the root, and holds for as long as the file does:
// pods in another containerd would be lost sight of.
type choice string

// managed says whether podd keeps the containerd itself; if not, the choice is
// the path of a socket.
func (c choice) managed() bool { return c == containerdManaged }

// choose returns the choice for this root, and records it if it is new. The
// host's containerd, if it answers at the first start, is what auto means for
// ever after.
func choose(ctx context.Context, cfg Config, host string, log *zap.Logger) (choice, error) {
	path := choiceFile(cfg.Root)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read which containerd to use: %w", err)
	}
	recorded, wanted := choice(strings.TrimSpace(string(text))), choice(strings.TrimPrefix(cfg.Containerd, "unix://"))
	switch {
	case recorded == "" && wanted == containerdAuto:
		wanted = choice(host)
		if err := answers(ctx, host); err != nil {
			wanted = containerdManaged
			log.Info("the host's containerd does not answer: from now on podd keeps one of its own", zap.String("socket", host), zap.Error(err))
		}
	case recorded == "":
	case wanted == containerdAuto || wanted == recorded:
		return recorded, nil
	default:
		return "", fmt.Errorf("containerd: the pods of %s are in %s, not in %s: delete them first, then remove %s",
			cfg.Root, recorded, wanted, path)
	}
	if err := os.WriteFile(path, []byte(wanted+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("record which containerd to use: %w", err)
	}
	return wanted, nil
}

func choiceFile(root string) string { return filepath.Join(root, "containerd.choice") }

// chosenAt is when the choice was made: at the first start of a podd with this
// root. It is zero if that is not known.
func chosenAt(root string) time.Time {
	stat, err := os.Stat(choiceFile(root))
	if err != nil {
		return time.Time{}
	}
	return stat.ModTime()
}

// answers gives a containerd that is there a moment to answer: at a boot it may
// be starting. It says why it does not.
func answers(ctx context.Context, socket string) error {
	if _, err := os.Stat(socket); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for {
		err := daemon.Ping(ctx, socket)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
