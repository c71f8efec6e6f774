package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
)

// Adopt goes on reading the output of every container that an earlier podd
// started, those that ended meanwhile included. It is called once, before the
// first pod is looked at.
func (c *Client) Adopt(ctx context.Context) error {
	ctx = c.Context(ctx)
	recs, err := c.cd.ContainerService().List(ctx, fmt.Sprintf("labels.%q==%q", LabelKind, KindContainer))
	if err != nil {
		return Failure(fmt.Errorf("list containers: %w", err), "")
	}
	known := map[string]bool{}
	for _, rec := range recs {
		known[rec.ID] = true
		c.Remember(rec.ID, types.UID(rec.Labels[LabelPodUID]))
		if err := c.adoptOutput(ctx, rec); err != nil {
			return Failure(fmt.Errorf("adopt container %s: %w", rec.ID, err), "")
		}
	}
	c.sweepFIFOs(known)
	return c.sweepLeases(ctx)
}

// adoptOutput goes on reading where an earlier podd was interrupted. It ends by
// itself if the container has.
func (c *Client) adoptOutput(ctx context.Context, rec containers.Container) error {
	task, err := c.task(ctx, rec.ID)
	if err != nil || task == nil {
		return err
	}
	f := c.containerFIFOs(rec.ID, rec.Labels[LabelStdin] == "true", rec.Labels[LabelTTY] == "true")
	_, err = c.startPump(rec.ID, logOfRecord(rec.Labels), f, false)
	if errors.Is(err, os.ErrNotExist) {
		c.log.Warn("a container's FIFOs are gone; its further output is lost",
			zap.String("container", rec.ID), zap.Error(err))
		return nil
	}
	return err
}

// sweepLeases ends the leases of what an earlier podd had in flight when it
// was killed, and has containerd remove what nobody else holds: by itself it
// would wait until much else has changed.
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
	if len(all) == 0 {
		return nil
	}
	return Failure(c.collectGarbage(ctx), "")
}

// sweepFIFOs removes those of containers that are no more, and those of exec'd
// processes, whose callers are no more.
func (c *Client) sweepFIFOs(known map[string]bool) {
	os.RemoveAll(c.execDir())
	dir := filepath.Join(c.cfg.RunDir, "io")
	entries, _ := os.ReadDir(dir) // absent: nothing to sweep
	for _, e := range entries {
		if !known[e.Name()] {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// collectGarbage has containerd remove what nothing refers to, and waits for
// it: it does so when a lease ends.
func (c *Client) collectGarbage(ctx context.Context) error {
	service := c.cd.LeasesService()
	l, err := service.Create(ctx, leases.WithRandomID(), leases.WithExpiration(time.Hour), leases.WithLabel(labelInFlight, "true"))
	if err == nil {
		err = service.Delete(ctx, l, leases.SynchronousDelete)
	}
	if err != nil {
		return fmt.Errorf("have containerd remove what nobody needs: %w", err)
	}
	return nil
}
