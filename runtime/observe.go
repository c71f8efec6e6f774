package runtime

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	containerd "github.com/containerd/containerd/v2/client"
	containersapi "github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Observe reads every sandbox and container of one pod, and the images that
// refs name.
func (c *Client) Observe(ctx context.Context, uid types.UID, refs []string) (
	sandboxes []pod.Sandbox, containers []pod.Container, images map[string]pod.Image, err error,
) {
	ctx = c.Context(ctx)
	recs, err := c.cd.ContainerService().List(ctx, fmt.Sprintf("labels.%q==%q", LabelPodUID, uid))
	if err != nil {
		return nil, nil, nil, Failure(fmt.Errorf("list the pod's containers: %w", err), "")
	}
	for _, rec := range recs {
		c.Remember(rec.ID, uid)
		proc, err := c.process(ctx, rec.ID)
		if err != nil {
			return nil, nil, nil, Failure(fmt.Errorf("look at container %s: %w", rec.ID, err), "")
		}
		if rec.Labels[LabelKind] == KindSandbox {
			sandboxes = append(sandboxes, sandbox(rec, proc))
		} else {
			containers = append(containers, c.container(rec, proc))
		}
	}
	images, err = c.observeImages(ctx, refs)
	return sandboxes, containers, images, err
}

// process is nil when a container has no task.
func (c *Client) process(ctx context.Context, id string) (*tasktypes.Process, error) {
	resp, err := c.cd.TaskService().Get(ctx, &tasksapi.GetRequest{ContainerID: id})
	if err != nil {
		if err := errdefsOf(err); errdefs.IsNotFound(err) {
			return nil, nil
		}
		return nil, err
	}
	return resp.Process, nil
}

func state(p *tasktypes.Process) pod.State {
	if p == nil {
		return pod.Created
	}
	switch p.Status {
	case tasktypes.Status_STOPPED:
		return pod.Exited
	case tasktypes.Status_CREATED:
		return pod.Created
	}
	return pod.Running
}

func attempt(rec containersapi.Container) int {
	n, _ := strconv.Atoi(rec.Labels[LabelAttempt]) // we wrote it
	return n
}

func sandbox(rec containersapi.Container, proc *tasktypes.Process) pod.Sandbox {
	return pod.Sandbox{ID: rec.ID, Attempt: attempt(rec), State: state(proc), CreatedAt: rec.CreatedAt}
}

func (c *Client) container(rec containersapi.Container, proc *tasktypes.Process) pod.Container {
	out := pod.Container{
		ID: rec.ID, Name: rec.Labels[LabelContainerName], Attempt: attempt(rec), State: state(proc),
		SandboxID: rec.Labels[LabelSandboxID], TargetID: rec.Labels[LabelTargetID], CreatedAt: rec.CreatedAt,
		Image: rec.Labels[LabelImage], ImageID: rec.Labels[LabelImageID], User: parseUser(rec.Labels[LabelUser]),
	}
	switch out.State {
	case pod.Running:
		out.StartedAt = startTime(int(proc.Pid))
	case pod.Exited:
		out.FinishedAt = proc.ExitedAt.AsTime()
		out.ExitCode = int(proc.ExitStatus)
		out.OOMKilled = c.cfg.OOMKilled(rec.Labels[LabelCgroup])
		c.drain(rec.ID, out.FinishedAt) // the message may be the end of the log
		out.Message = terminationMessage(rec.Labels, out.ExitCode)
	}
	return out
}

func (c *Client) observeImages(ctx context.Context, refs []string) (map[string]pod.Image, error) {
	out := map[string]pod.Image{}
	for _, ref := range slices.Compact(slices.Sorted(slices.Values(refs))) {
		img, err := c.Find(ctx, ref)
		if err != nil {
			return nil, Failure(fmt.Errorf("look for image %s: %w", ref, err), "")
		}
		if img == nil || c.unfinished(img) {
			continue
		}
		known, err := c.describe(ctx, img)
		if errdefs.IsNotFound(err) {
			continue // its content is not all here: as good as absent, a pull mends it
		}
		if err != nil {
			return nil, Failure(err, "")
		}
		known.Imported = img.Labels()[labelImported] != ""
		out[ref] = known
	}
	return out, nil
}

// unfinished tells whether an image is in the middle of its transfer. One that
// was imported meanwhile is not.
func (c *Client) unfinished(img containerd.Image) bool {
	p := c.pulls.progressOf(img.Name())
	return p != nil && p.making(img.Target().Digest) && img.Labels()[labelImported] == ""
}

// Transfers tells how far those are that are under way of the images that refs
// name.
func (i Images) Transfers(ctx context.Context, refs []string) map[string]pod.Progress {
	var under map[string]pod.Progress
	for _, ref := range refs {
		done, total, err := i.Pulling(ctx, ref)
		if err != nil || total == 0 {
			continue // the pull itself tells what is wrong
		}
		if under == nil {
			under = map[string]pod.Progress{}
		}
		under[ref] = pod.Progress{Done: done, Total: total}
	}
	return under
}

// Sandboxes counts a pod's sandboxes, whatever their state.
func (c *Client) Sandboxes(ctx context.Context, uid types.UID) (int, error) {
	recs, err := c.cd.ContainerService().List(c.Context(ctx), fmt.Sprintf("labels.%q==%q,labels.%q==%q", LabelPodUID, uid, LabelKind, KindSandbox))
	if err != nil {
		return 0, Failure(fmt.Errorf("list the pod's sandboxes: %w", err), "")
	}
	return len(recs), nil
}

// Pods lists every pod of which a sandbox or container exists.
func (c *Client) Pods(ctx context.Context) ([]pod.Key, error) {
	recs, err := c.cd.ContainerService().List(c.Context(ctx), fmt.Sprintf("labels.%q", LabelPodUID))
	if err != nil {
		return nil, Failure(fmt.Errorf("list containers: %w", err), "")
	}
	seen := map[types.UID]bool{}
	var keys []pod.Key
	for _, rec := range recs {
		if key := keyOf(rec.Labels); !seen[key.UID] {
			seen[key.UID] = true
			keys = append(keys, key)
		}
	}
	return keys, nil
}
