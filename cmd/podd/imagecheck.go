package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// checkAgain is how long podd waits before it looks at images again when it
// could not.
const checkAgain = 10 * time.Second

// checkImages looks at every image after an unclean stop, until it could. Pods
// need not wait for it: their images are looked at first when they are used; but
// an image that takes longer than the making of a container may is looked at
// here to the end. Then the archives are looked at, which may have what was found
// damaged.
func (d *podd) checkImages(ctx context.Context, verify, lookAtArchives func(context.Context) error) error {
	d.log.Info("podd was not stopped in order: looking whether images are damaged on disk")
	for {
		err := verify(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			d.log.Info("all images were looked at")
			_ = lookAtArchives(ctx) // it fails only when podd stops
			return nil
		}
		d.log.Warn("could not look at all images; it is tried again, and each is looked at when it is used", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(checkAgain):
		}
	}
}

// imageFound counts an image that is not sound, and makes it an event. It may
// be called from any goroutine.
func (d *podd) imageFound(check pod.ImageCheck) {
	d.images.Damaged(check.State.String())
	d.happened(d.back.ctx, pod.Event{
		Type: corev1.EventTypeWarning, Reason: "ImageDamaged",
		Message: fmt.Sprintf("Image %s was found damaged on disk (%s): %s",
			strings.Join(check.Names, ", "), check.State, strings.Join(check.Findings, "; ")),
	})
}

// storeDamaged makes an event of it, later if there is no agent yet.
func (d *podd) storeDamaged(what string) {
	d.damage.Store(&what)
	d.happened(d.back.ctx, pod.Event{Type: corev1.EventTypeWarning, Reason: "StoreDamaged", Message: what})
}

// happened records an event that is no pod's. Before there is an agent, what
// happens is in the log alone.
func (d *podd) happened(ctx context.Context, ev pod.Event) {
	a := d.agent.Load()
	if a == nil {
		return
	}
	if err := a.NodeEvent(ctx, ev); err != nil && ctx.Err() == nil {
		d.log.Warn("could not record an event", zap.Error(err))
	}
}
