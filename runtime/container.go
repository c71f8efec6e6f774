package runtime

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"

	"github.com/podd-io/podd/pod"
)

// Create makes one attempt's snapshot and record. An attempt that has a record
// already is adopted.
func (c *Client) Create(ctx context.Context, cfg pod.ContainerConfig) error {
	if _, err := c.cd.LoadContainer(c.Context(ctx), cfg.ID); err == nil {
		return nil
	}
	ctx, release, err := c.Protect(ctx)
	if err != nil {
		return err
	}
	defer release()
	img, err := c.find(ctx, cfg.Container.Image)
	if err != nil {
		return Failure(err, "CreateContainerError")
	}
	if img == nil {
		return &pod.Failure{Kind: pod.NotFound, Reason: "CreateContainerError",
			Message: fmt.Sprintf("image %q is not here any more", cfg.Container.Image)}
	}
	spec, err := c.spec(ctx, cfg, img)
	if err != nil {
		return Failure(err, "CreateContainerError")
	}
	_, err = c.cd.NewContainer(ctx, cfg.ID,
		containerd.WithImage(img),
		containerd.WithContainerLabels(c.labels(cfg)),
		containerd.WithSnapshotter(c.cfg.Snapshotter),
		c.NewSnapshot(cfg.ID, img),
		c.Runtime(),
		containerd.WithNewSpec(spec...))
	if err != nil && !errdefs.IsAlreadyExists(err) {
		c.dropSnapshot(ctx, cfg.ID)
		return Failure(err, "CreateContainerError")
	}
	c.Remember(cfg.ID, cfg.Pod.UID)
	return nil
}

// NewSnapshot prepares the container's file system; one that an earlier,
// interrupted try left is taken over.
func (c *Client) NewSnapshot(id string, img containerd.Image) containerd.NewContainerOpts {
	prepare := containerd.WithNewSnapshot(id, img)
	adopt := containerd.WithSnapshot(id)
	return func(ctx context.Context, cd *containerd.Client, rec *containers.Container) error {
		err := prepare(ctx, cd, rec)
		if errdefs.IsAlreadyExists(err) {
			return adopt(ctx, cd, rec)
		}
		return err
	}
}

func (c *Client) dropSnapshot(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = c.cd.SnapshotService(c.cfg.Snapshotter).Remove(ctx, id) // its lease's end removes it otherwise
}

func (c *Client) labels(cfg pod.ContainerConfig) map[string]string {
	l := PodLabels(podKey(cfg.Pod), KindContainer, cfg.Attempt)
	maps.Copy(l, map[string]string{
		LabelContainerName: cfg.Container.Name,
		LabelSandboxID:     cfg.SandboxID,
		LabelImage:         cfg.Container.Image,
		LabelImageID:       cfg.ImageID,
		LabelLogPath:       c.logPath(cfg),
		LabelMessagePath:   c.messagePath(cfg),
		LabelMessagePolicy: string(cfg.Container.TerminationMessagePolicy),
		LabelCgroup:        CgroupPath(c.cfg.CgroupRoot, cfg.Pod.UID, cfg.ID),
		LabelStdin:         strconv.FormatBool(cfg.Container.Stdin),
		LabelTTY:           strconv.FormatBool(cfg.Container.TTY),
	})
	return l
}

func (c *Client) logPath(cfg pod.ContainerConfig) string {
	key := podKey(cfg.Pod)
	dir := fmt.Sprintf("%s_%s_%s", key.Namespace, key.Name, key.UID)
	return filepath.Join(c.cfg.LogDir, dir, cfg.Container.Name, strconv.Itoa(cfg.Attempt)+".log")
}

// Start starts the process and the reading of its output into the log. An
// attempt that runs already is success. A start that fails leaves no task.
func (c *Client) Start(ctx context.Context, cfg pod.ContainerConfig) error {
	ctx = c.Context(ctx)
	ctr, err := c.cd.LoadContainer(ctx, cfg.ID)
	if err != nil {
		return Failure(fmt.Errorf("start container: %w", err), "RunContainerError")
	}
	if task, err := ctr.Task(ctx, nil); err == nil {
		return c.startTask(ctx, cfg.ID, task)
	}
	fifos, err := c.makeFIFOs(cfg.ID, cfg.Container.Stdin, cfg.Container.TTY)
	if err != nil {
		return Failure(err, "RunContainerError")
	}
	if err := c.pump(cfg.ID, c.logPath(cfg), fifos); err != nil {
		return Failure(err, "RunContainerError")
	}
	task, err := ctr.NewTask(ctx, fifos.creator)
	if err != nil {
		c.endPump(cfg.ID)
		return startFailure(err)
	}
	return c.startTask(ctx, cfg.ID, task)
}

func (c *Client) startTask(ctx context.Context, id string, task containerd.Task) error {
	err := task.Start(ctx)
	if err == nil || alreadyStarted(ctx, task) {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if _, derr := task.Delete(clean, containerd.WithProcessKill); derr != nil && !errdefs.IsNotFound(derr) {
		err = fmt.Errorf("%w (and the task could not be removed: %v)", err, derr)
	}
	c.endPump(id)
	return startFailure(err)
}

// alreadyStarted tells a start that was done before from one that failed.
func alreadyStarted(ctx context.Context, task containerd.Task) bool {
	st, err := task.Status(ctx)
	return err == nil && st.Status != containerd.Created
}

// Signal sends a signal; to a process that has ended that is no error. KILL
// goes to every process of the container.
func (c *Client) Signal(ctx context.Context, cfg pod.SignalConfig) error {
	ctx = c.Context(ctx)
	task, err := c.task(ctx, cfg.ID)
	if err != nil || task == nil {
		return Failure(err, "")
	}
	var opts []containerd.KillOpts
	if cfg.Signal == syscall.SIGKILL {
		opts = append(opts, containerd.WithKillAll)
	}
	if err := task.Kill(ctx, cfg.Signal, opts...); err != nil && !errdefs.IsNotFound(err) {
		return Failure(fmt.Errorf("send %s: %w", cfg.Signal, err), "")
	}
	return nil
}

// task is nil when the container has none, or is not there.
func (c *Client) task(ctx context.Context, id string) (containerd.Task, error) {
	ctr, err := c.cd.LoadContainer(ctx, id)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	task, err := ctr.Task(ctx, nil)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	return task, err
}

// Reap deletes the task of an exited attempt, once its output is in the log.
func (c *Client) Reap(ctx context.Context, id string) error {
	ctx = c.Context(ctx)
	task, err := c.task(ctx, id)
	if err != nil {
		return Failure(fmt.Errorf("reap container: %w", err), "")
	}
	c.drain(id)
	if task != nil {
		if _, err := task.Delete(ctx); err != nil && !errdefs.IsNotFound(err) {
			return Failure(fmt.Errorf("reap container: %w", err), "")
		}
	}
	c.endPump(id)
	return nil
}

// Remove removes the task if there is one, the record, the snapshot and the
// FIFOs.
func (c *Client) Remove(ctx context.Context, id string) error {
	ctx = c.Context(ctx)
	if err := c.RemoveContainer(ctx, id); err != nil {
		return err
	}
	c.endPump(id)
	c.forget(id)
	return nil
}

// RemoveContainer kills and removes any containerd container of ours; one that
// is not there is success. Package sandbox uses it too.
func (c *Client) RemoveContainer(ctx context.Context, id string) error {
	ctx = c.Context(ctx)
	ctr, err := c.cd.LoadContainer(ctx, id)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return Failure(fmt.Errorf("remove container: %w", err), "")
	}
	if task, err := ctr.Task(ctx, nil); err == nil {
		if _, err := task.Delete(ctx, containerd.WithProcessKill); err != nil && !errdefs.IsNotFound(err) {
			return Failure(fmt.Errorf("remove task: %w", err), "")
		}
	} else if !errdefs.IsNotFound(err) {
		return Failure(fmt.Errorf("remove task: %w", err), "")
	}
	if err := ctr.Delete(ctx, containerd.WithSnapshotCleanup); err != nil && !errdefs.IsNotFound(err) {
		return Failure(fmt.Errorf("remove container: %w", err), "")
	}
	return nil
}
