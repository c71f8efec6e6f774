package agent

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// collectEvery is how often podd looks how full its disks are although nothing
// was fetched, and freeEvery how often while one is too full; scanEvery is how
// often it looks which images nobody needs although there is room.
const (
	collectEvery = time.Minute
	freeEvery    = 10 * time.Second
	scanEvery    = 5 * time.Minute
)

// collector removes what nobody needs: images, finished pods, and their logs.
// What it knows is lost with podd: an image is unneeded since podd has seen it
// to be, as with a kubelet.
type collector struct {
	a *Agent
	// unneeded is since when nobody needs an image, by id.
	unneeded map[string]time.Time
	scanned  time.Time
	// freeing says, of each disk, that it was too full and is not empty enough.
	freeingImages, freeingLogs bool
	// said is the last trouble that was told.
	said string
}

// collect removes what nobody needs until ctx ends.
func (a *Agent) collect(ctx context.Context) {
	c := &collector{a: a, unneeded: map[string]time.Time{}}
	for {
		if err := c.images(ctx); err != nil {
			c.trouble(ctx, "ImageGCFailed", fmt.Sprintf("could not remove images that nobody needs; it is tried again: %v", err))
		}
		if err := c.logs(ctx); err != nil {
			c.trouble(ctx, "LogGCFailed", fmt.Sprintf("could not remove logs of finished pods; it is tried again: %v", err))
		}
		wait := collectEvery
		if c.freeingImages || c.freeingLogs {
			wait = freeEvery
		}
		if next := a.expire(ctx, time.Now()); !next.IsZero() {
			wait = min(wait, max(time.Until(next), time.Second))
		}
		if !a.awaitNudge(ctx, wait) {
			return
		}
	}
}

// awaitNudge waits until there may be something to collect, or for so long.
func (a *Agent) awaitNudge(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-a.nudged:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// nudge tells the collector that the disk may have become fuller, or that a pod
// has finished.
func (a *Agent) nudge() {
	select {
	case a.nudged <- struct{}{}:
	default:
	}
}

// trouble is told once.
func (c *collector) trouble(ctx context.Context, reason, text string) {
	if ctx.Err() != nil || c.said == text {
		return
	}
	c.said = text
	c.a.cfg.Log.Warn(text)
	c.happened(ctx, corev1.EventTypeWarning, reason, text)
}

func (c *collector) happened(ctx context.Context, kind, reason, text string) {
	if err := c.a.NodeEvent(ctx, pod.Event{Type: kind, Reason: reason, Message: text}); err != nil && !isStop(err) {
		c.a.cfg.Log.Warn("could not record an event", zap.String("event", text), zap.Error(err))
	}
}

// images removes one image after the other, as long as the policy has one go.
func (c *collector) images(ctx context.Context) error {
	policy := c.a.settings.Load().Collection
	for {
		disk, err := c.a.cfg.Disks.Images(ctx)
		if err != nil {
			return err
		}
		in := pod.Collection{
			Now: time.Now(), Policy: policy, Disk: disk, Freeing: c.freeingImages, MinAge: policy.MinAge, MaxAge: policy.MaxAge,
		}
		if _, _, _, freeing := pod.Collect(in); !freeing && in.Now.Sub(c.scanned) < scanEvery {
			c.freeingImages = false
			return nil
		}
		stored, err := c.scan(ctx, in.Now)
		if err != nil {
			return err
		}
		for _, img := range stored {
			in.Unneeded = append(in.Unneeded, pod.Collectable{ID: img.ID, Since: c.unneeded[img.ID], Size: img.Size})
		}
		victim, reason, why, freeing := pod.Collect(in)
		c.freeingImages = freeing
		if victim == nil {
			c.short(ctx)
			return nil
		}
		if err := c.removeImage(ctx, *victim, reason, why); err != nil {
			return err
		}
	}
}

// scan lists the images that nobody needs, and notes since when.
func (c *collector) scan(ctx context.Context, now time.Time) ([]pod.StoredImage, error) {
	stored, err := c.a.cfg.ImageStore.Unneeded(ctx, c.a.neededImages())
	if err != nil {
		return nil, err
	}
	c.scanned = now
	since := make(map[string]time.Time, len(stored))
	for _, img := range stored {
		since[img.ID] = now
		if before, ok := c.unneeded[img.ID]; ok {
			since[img.ID] = before
		}
	}
	c.unneeded = since
	return stored, nil
}

// short tells that there is nothing left to remove although the disk is full,
// in a kubelet's words.
func (c *collector) short(ctx context.Context) {
	if !c.freeingImages {
		c.said = ""
		return
	}
	policy := c.a.settings.Load().Collection
	c.trouble(ctx, "FreeDiskSpaceFailed", fmt.Sprintf(
		"the images' file system is over %d%% full, and podd may remove no image: all are in use, pinned, or were so within the last %s",
		policy.High, policy.MinAge))
}

func (c *collector) removeImage(ctx context.Context, victim pod.Collectable, reason, why string) error {
	// Somebody may need it since.
	names, err := c.a.cfg.ImageStore.Remove(ctx, victim.ID, c.a.neededImages())
	if err != nil {
		return fmt.Errorf("remove image %s: %w", victim.ID, err)
	}
	c.a.cfg.Collected("image", reason)
	text := fmt.Sprintf("Removed image %q: %s", names, why)
	c.a.cfg.Log.Info("removed an image that nobody needs", zap.Strings("image", names), zap.String("why", why), zap.Int64("size", victim.Size))
	c.happened(ctx, corev1.EventTypeNormal, "ImageGarbageCollected", text)
	return nil
}

// neededImages are the references that pods which have not ended were given,
// with the pod that has each.
func (a *Agent) neededImages() map[string]string {
	needed := map[string]string{}
	for _, p := range a.Snapshot().Pods() {
		if ended(p.Status.Phase) {
			continue
		}
		for _, ref := range imageRefs(p) {
			needed[ref] = p.Namespace + "/" + p.Name
		}
	}
	return needed
}

// logs has workers remove the logs of their finished pods, as the policy wants
// it.
func (c *collector) logs(ctx context.Context) error {
	policy := c.a.settings.Load().Collection
	disk, err := c.a.cfg.Disks.Logs(ctx)
	if err != nil {
		return err
	}
	in := pod.Collection{Now: time.Now(), Policy: policy, Disk: disk, Freeing: c.freeingLogs, MinAge: policy.MinAge, MaxAge: policy.LogMaxAge}
	_, _, _, c.freeingLogs = pod.Collect(in)
	if !c.freeingLogs && policy.LogMaxAge == 0 {
		return nil
	}
	if in.Unneeded, err = c.finished(ctx); err != nil {
		return err
	}
	for {
		in.Freeing = c.freeingLogs
		victim, reason, why, freeing := pod.Collect(in)
		c.freeingLogs = freeing
		if victim == nil {
			return nil
		}
		if c.a.dropLogs(victim.ID, why) {
			c.a.cfg.Collected("log", reason)
		}
		in.Disk.Available += victim.Size
		in.Unneeded = without(in.Unneeded, victim.ID)
	}
}

func without(all []pod.Collectable, id string) []pod.Collectable {
	var rest []pod.Collectable
	for _, c := range all {
		if c.ID != id {
			rest = append(rest, c)
		}
	}
	return rest
}

// finished are the pods that have ended and have logs.
func (c *collector) finished(ctx context.Context) ([]pod.Collectable, error) {
	var all []pod.Collectable
	for _, p := range c.a.Snapshot().Pods() {
		if !ended(p.Status.Phase) || p.DeletionTimestamp != nil {
			continue
		}
		size, err := c.a.cfg.Logs.Size(ctx, pod.Key{UID: p.UID, Namespace: p.Namespace, Name: p.Name})
		if err != nil {
			return nil, err
		}
		if size > 0 {
			all = append(all, pod.Collectable{ID: string(p.UID), Since: endedAt(p), Size: size})
		}
	}
	return all, nil
}

// endedAt is when a pod's last container ended; for one that never had any,
// when the pod came.
func endedAt(p *corev1.Pod) time.Time {
	at := p.CreationTimestamp.Time
	for _, list := range [][]corev1.ContainerStatus{
		p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses,
	} {
		for _, c := range list {
			if t := c.State.Terminated; t != nil && t.FinishedAt.After(at) {
				at = t.FinishedAt.Time
			}
		}
	}
	return at
}
