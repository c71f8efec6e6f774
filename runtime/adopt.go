package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
)

// Adopt goes on reading the output of every container that an earlier podd
// started, those that ended meanwhile included. It is called once, before the
// first pod is looked at.
func (c *Client) Adopt(ctx context.Context) error {
	ctx = c.Context(ctx)
	recs, err := c.cd.ContainerService().List(ctx, fmt.Sprintf("labels.%q==%s", LabelKind, KindContainer))
	if err != nil {
		return Failure(fmt.Errorf("list containers: %w", err), "")
	}
	known := map[string]bool{}
	for _, rec := range recs {
		known[rec.ID] = true
		c.Remember(rec.ID, types.UID(rec.Labels[LabelPodUID]))
		task, err := c.task(ctx, rec.ID)
		if err != nil {
			return Failure(fmt.Errorf("look at container %s: %w", rec.ID, err), "")
		}
		if task == nil {
			continue
		}
		f := c.fifos(rec.ID, rec.Labels[LabelStdin] == "true", rec.Labels[LabelTTY] == "true")
		if _, err := os.Stat(f.config.Stdout); err != nil {
			c.log.Warn("a running container's output has no FIFO any more; its further output is lost",
				zap.String("container", rec.ID), zap.Error(err))
			continue
		}
		if err := c.pump(rec.ID, rec.Labels[LabelLogPath], f); err != nil {
			return err
		}
	}
	c.sweepFIFOs(known)
	return c.sweepLeases(ctx)
}

// sweepLeases ends the leases of what an earlier podd had in flight when it
// was killed: containerd may then collect it, or find it in use.
func (c *Client) sweepLeases(ctx context.Context) error {
	service := c.cd.LeasesService()
	all, err := service.List(ctx, fmt.Sprintf("labels.%q", labelInFlight))
	if err != nil {
		return Failure(fmt.Errorf("list leases: %w", err), "")
	}
	for _, l := range all {
		if err := service.Delete(ctx, l); err != nil && !errdefs.IsNotFound(err) {
			return Failure(fmt.Errorf("end lease %s: %w", l.ID, err), "")
		}
	}
	return nil
}

// sweepFIFOs removes those of containers that are no more.
func (c *Client) sweepFIFOs(known map[string]bool) {
	dir := filepath.Join(c.cfg.RunDir, "io")
	entries, _ := os.ReadDir(dir) // absent: nothing to sweep
	for _, e := range entries {
		if !known[e.Name()] {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}
