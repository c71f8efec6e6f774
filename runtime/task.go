package runtime

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
)

// cleanTime bounds the undoing of what failed.
const cleanTime = 30 * time.Second

// underWayPause is how soon a task is asked for again that containerd is still
// making for a caller who has died, or unmaking.
const underWayPause = 100 * time.Millisecond

// NewTask makes a container's task. If it fails there is none, even if
// containerd made one and only its answer was lost.
func NewTask(ctx context.Context, ctr containerd.Container, creator cio.Creator) (containerd.Task, error) {
	for {
		task, err := ctr.NewTask(ctx, creator)
		if err == nil {
			return task, nil
		}
		err = abandon(ctx, ctr, err)
		if !isUnderWay(err) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(underWayPause):
		}
	}
}

// isUnderWay says that containerd has found the directory of a task that it was
// to create: that of a creation which podd's death has cut short, and which
// containerd has not finished or undone yet. The task can't be found meanwhile.
func isUnderWay(err error) bool {
	return err != nil && strings.Contains(err.Error(), "io.containerd.runtime.v2.task") && strings.Contains(err.Error(), "file exists")
}

// StartTask starts a task; one that was started before is success, whether it
// still runs or has ended. If it fails there is no task.
func StartTask(ctx context.Context, ctr containerd.Container, task containerd.Task) error {
	if started(ctx, task) {
		return nil
	}
	err := task.Start(ctx)
	if err == nil || started(ctx, task) {
		return nil
	}
	return abandon(ctx, ctr, err)
}

func started(ctx context.Context, task containerd.Task) bool {
	st, err := task.Status(ctx)
	return err == nil && st.Status != containerd.Created
}

// abandon removes the task that a failure may have left, and returns the
// failure, with what else went wrong.
func abandon(ctx context.Context, ctr containerd.Container, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	task, err := ctr.Task(ctx, nil)
	if err == nil {
		_, err = task.Delete(ctx, containerd.WithProcessKill)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("%w (and its task could not be removed: %w)", failed, err)
	}
	return failed
}

// deleteTask deletes a container's task; one that is not there is success. So
// is one of which containerd only keeps the shim, as when the caller of an
// earlier deletion died in the midst of it: the task can't be found any more,
// and containerd would keep the shim as long as itself.
func (c *Client) deleteTask(ctx context.Context, ctr containerd.Container, opts ...containerd.ProcessDeleteOpts) error {
	task, err := ctr.Task(ctx, nil)
	if err == nil {
		_, err = task.Delete(ctx, opts...)
	}
	if errdefs.IsNotFound(err) {
		_, err = c.cd.TaskService().Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: ctr.ID()})
		err = errdefsOf(err)
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// isOccupied says that the OCI runtime (runc) has found a process in the cgroup
// of a container that it was to create: that of a creation which podd's death, or
// containerd's, has cut short.
func isOccupied(err error) bool {
	return err != nil && strings.Contains(err.Error(), "container's cgroup is not empty")
}
