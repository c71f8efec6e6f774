package agent_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/podd-io/podd/agent"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// TestABackupArrivesInOrder, in pieces; and one that fails says so.
func TestABackupArrivesInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		want := bytes.Repeat([]byte("0123456789"), 100_000)
		var broken error
		r.reconfigure = func(c *agent.Config) {
			c.Backup = func(w io.Writer) error {
				_, err := w.Write(want)
				return errors.Join(err, broken)
			}
		}
		r.restart()
		receive := func() ([]byte, error) {
			stream, err := r.life.node.Backup(t.Context(), &poddv1.BackupRequest{})
			if err != nil {
				return nil, err
			}
			var got []byte
			for {
				piece, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					return got, nil
				}
				if err != nil {
					return nil, err
				}
				got = append(got, piece.Data...)
			}
		}
		if got, err := receive(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
		}
		broken = errors.New("the disk is full")
		if _, err := receive(); err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("a backup that failed: %v", err)
		}
	})
}
