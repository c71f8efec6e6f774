package runtime

import (
	"context"
	"time"

	eventsapi "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
)

// Hints calls hint whenever a pod's tasks may have changed, until ctx ends. An
// empty uid means any pod: containerd's events are not kept, so after every
// (re)connection all are to be looked at.
func (c *Client) Hints(ctx context.Context, hint func(types.UID)) error {
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		began := time.Now()
		err := c.follow(ctx, hint)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.Reconnects.Add(1)
		c.log.Warn("lost containerd's event stream; connecting anew", zap.Error(err))
		hint("")
		wait = min(2*wait+100*time.Millisecond, 5*time.Second)
		if time.Since(began) > time.Minute {
			wait = 0
		}
	}
}

// hintsSettled is when a stream of events stands for sure.
const hintsSettled = 10 * time.Second

func (c *Client) follow(ctx context.Context, hint func(types.UID)) error {
	ctx, cancel := context.WithCancel(c.Context(ctx))
	defer cancel()
	ns := "namespace==" + c.cfg.Namespace
	messages, errs := c.cd.Subscribe(ctx,
		ns+`,topic~="^/tasks/(exit|oom|start|create|delete|paused|resumed)"`,
		ns+`,topic~="^/containers/(create|delete)"`,
		ns+`,topic~="^/images/"`)
	hint("") // what happened before
	// containerd does not say when the stream stands, and on a busy machine it
	// takes its time: what happens before is found by looking again.
	pause := time.Second
	again := time.After(pause)
	for {
		select {
		case <-again:
			hint("")
			if pause *= 2; pause < hintsSettled {
				again = time.After(pause)
			}
		case err := <-errs:
			return err
		case m := <-messages:
			if uid, ok := c.about(ctx, m); ok {
				hint(uid)
			}
		}
	}
}

// about tells whose event this is, and whether it says anything new to us.
func (c *Client) about(ctx context.Context, m *events.Envelope) (types.UID, bool) {
	event, err := typeurl.UnmarshalAny(m.Event)
	if err != nil {
		return "", true
	}
	switch e := event.(type) {
	case *eventsapi.TaskExit:
		if e.ID != e.ContainerID {
			return "", false // an exec'd process
		}
		return c.ownerOf(ctx, e.ContainerID)
	case interface{ GetContainerID() string }: // of tasks
		return c.ownerOf(ctx, e.GetContainerID())
	case interface{ GetID() string }: // of containers
		return c.ownerOf(ctx, e.GetID())
	case *eventsapi.ImageCreate, *eventsapi.ImageUpdate, *eventsapi.ImageDelete:
		return "", true
	}
	return "", false
}

func (c *Client) ownerOf(ctx context.Context, id string) (types.UID, bool) {
	c.mu.Lock()
	uid, ok := c.owner[id]
	c.mu.Unlock()
	if ok {
		return uid, true
	}
	rec, err := c.cd.ContainerService().Get(ctx, id)
	if err != nil || rec.Labels[LabelPodUID] == "" {
		return "", false
	}
	uid = types.UID(rec.Labels[LabelPodUID])
	c.Remember(id, uid)
	return uid, true
}
