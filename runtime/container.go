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
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/podd-io/podd/pod"
)

// Create makes one attempt's snapshot and record. An attempt that has a record
// already is adopted; a failed create leaves nothing.
func (c *Client) Create(ctx context.Context, cfg pod.ContainerConfig) error {
	_, err := c.cd.LoadContainer(c.Context(ctx), cfg.ID)
	if errdefs.IsNotFound(err) {
		err = c.create(ctx, cfg)
	}
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return Failure(fmt.Errorf("failed to create container %q: %w", cfg.Container.Name, err), "CreateContainerError")
	}
	c.Remember(cfg.ID, cfg.Pod.UID)
	return nil
}

func (c *Client) create(ctx context.Context, cfg pod.ContainerConfig) error {
	ctx, release, err := c.Protect(ctx)
	if err != nil {
		return err
	}
	defer release()
	img, err := c.imageFor(ctx, cfg)
	if err != nil {
		return err
	}
	spec, err := c.spec(ctx, cfg, img)
	if err != nil {
		return err
	}
	var user specs.User
	spec = append(spec, func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		user = s.Process.User
		return nil
	})
	_, err = c.cd.NewContainer(ctx, cfg.ID,
		containerd.WithImage(img),
		containerd.WithContainerLabels(c.labels(cfg)),
		containerd.WithSnapshotter(c.cfg.Snapshotter),
		c.NewSnapshot(cfg.ID, img),
		c.Runtime(),
		containerd.WithNewSpec(spec...),
		userLabel(&user))
	if err != nil && !errdefs.IsAlreadyExists(err) {
		c.dropSnapshot(ctx, cfg.ID)
	}
	return err
}

// dropSnapshot removes what no record came to own.
func (c *Client) dropSnapshot(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	_ = c.cd.SnapshotService(c.cfg.Snapshotter).Remove(ctx, id) // collected without its lease otherwise
}

// imageFor is the image that the pod's decision was made for: runAsNonRoot was
// held against its user.
func (c *Client) imageFor(ctx context.Context, cfg pod.ContainerConfig) (containerd.Image, error) {
	ref := cfg.Container.Image
	img, err := c.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if img == nil {
		return nil, &pod.Failure{Kind: pod.NotFound, Reason: "CreateContainerError",
			Message: fmt.Sprintf("image %q is not here any more", ref)}
	}
	known, err := c.describe(ctx, img)
	if err != nil {
		return nil, err
	}
	if cfg.ImageID != "" && cfg.ImageID != known.ID {
		return nil, &pod.Failure{Kind: pod.Transient, Reason: "CreateContainerError",
			Message: fmt.Sprintf("image %q was %s and is %s now", ref, cfg.ImageID, known.ID)}
	}
	return img, nil
}

// NewSnapshot prepares a container's file system, of an image that it unpacks
// if need be, and that it looks at first if podd has doubts in it. One that an
// earlier, interrupted try left is made anew.
func (c *Client) NewSnapshot(id string, img containerd.Image) containerd.NewContainerOpts {
	prepare := containerd.WithNewSnapshot(id, img)
	return func(ctx context.Context, cd *containerd.Client, rec *containers.Container) error {
		if err := c.assure(ctx, img); err != nil {
			return err
		}
		err := prepare(ctx, cd, rec)
		switch {
		case errdefs.IsAlreadyExists(err):
			err = cd.SnapshotService(rec.Snapshotter).Remove(ctx, id)
		case errdefs.IsNotFound(err):
			err = img.Unpack(ctx, rec.Snapshotter, durably)
		default:
			return err
		}
		if err != nil {
			return err
		}
		return prepare(ctx, cd, rec)
	}
}

// userLabel notes who the container's process is to run as.
func userLabel(user *specs.User) containerd.NewContainerOpts {
	return func(_ context.Context, _ *containerd.Client, rec *containers.Container) error {
		rec.Labels[LabelUser] = formatUser(*user)
		return nil
	}
}

func (c *Client) labels(cfg pod.ContainerConfig) map[string]string {
	log := c.logOf(cfg)
	l := PodLabels(podKey(cfg.Pod), KindContainer, cfg.Attempt)
	maps.Copy(l, map[string]string{
		LabelContainerName: cfg.Container.Name,
		LabelSandboxID:     cfg.SandboxID,
		LabelImage:         cfg.Container.Image,
		LabelImageID:       cfg.ImageID,
		LabelLogPath:       log.path,
		LabelMessagePath:   c.messagePath(cfg),
		LabelMessagePolicy: string(cfg.Container.TerminationMessagePolicy),
		LabelCgroup:        c.cgroupOf(cfg),
		LabelStdin:         strconv.FormatBool(cfg.Container.Stdin),
		LabelTTY:           strconv.FormatBool(cfg.Container.TTY),
	})
	if cfg.TargetID != "" {
		l[LabelTargetID] = cfg.TargetID
	}
	if log.limits.MaxSize > 0 {
		l[LabelLogMaxSize] = strconv.FormatInt(log.limits.MaxSize, 10)
	}
	if log.limits.MaxFiles > 0 {
		l[LabelLogMaxFiles] = strconv.Itoa(log.limits.MaxFiles)
	}
	return l
}

func (c *Client) cgroupOf(cfg pod.ContainerConfig) string {
	return c.cfg.CgroupRoot.Container(cfg.Pod.UID, cfg.ID)
}

// logPlace is where a container's output goes.
type logPlace struct {
	path   string
	limits pod.LogLimits
}

func (c *Client) logOf(cfg pod.ContainerConfig) logPlace {
	limits, _ := pod.LogLimitsOf(cfg.Pod, cfg.Container.Name) // it was admitted; an update of a bad one leaves the node's own
	return logPlace{c.logPath(cfg), limits}
}

// logOfRecord is what logOf was when the container was made.
func logOfRecord(labels map[string]string) logPlace {
	size, _ := strconv.ParseInt(labels[LabelLogMaxSize], 10, 64)
	files, _ := strconv.Atoi(labels[LabelLogMaxFiles])
	return logPlace{labels[LabelLogPath], pod.LogLimits{MaxSize: size, MaxFiles: files}}
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
		return Failure(fmt.Errorf("start container %q: %w", cfg.Container.Name, err), reasonRun)
	}
	f := c.containerFIFOs(cfg.ID, cfg.Container.Stdin, cfg.Container.TTY)
	task, err := ctr.Task(ctx, nil)
	if err == nil { // an interrupted try made it
		if _, err := c.startPump(cfg.ID, c.logOf(cfg), f, false); err != nil {
			return Failure(err, reasonRun)
		}
	} else if task, err = c.newTask(ctx, cfg, ctr, f); err != nil {
		return err
	}
	if err := StartTask(ctx, ctr, task); err != nil {
		c.endPump(cfg.ID)
		return startFailure(err)
	}
	return nil
}

// reasonRun is a kubelet's word for a container that can't be started.
const reasonRun = "RunContainerError"

func (c *Client) newTask(ctx context.Context, cfg pod.ContainerConfig, ctr containerd.Container, f fifos) (containerd.Task, error) {
	if err := f.make(); err != nil {
		return nil, Failure(err, reasonRun)
	}
	if err := c.cfg.MakeGroup(ctx, c.cgroupOf(cfg)); err != nil {
		return nil, Failure(err, reasonRun)
	}
	p, err := c.startPump(cfg.ID, c.logOf(cfg), f, true)
	if err != nil {
		return nil, Failure(err, reasonRun)
	}
	task, err := NewTask(ctx, ctr, f.creator)
	if isOccupied(err) {
		if err = c.cfg.EmptyCgroup(ctx, c.cgroupOf(cfg)); err == nil {
			task, err = NewTask(ctx, ctr, f.creator)
		}
	}
	if err != nil {
		c.endPump(cfg.ID)
		return nil, startFailure(err)
	}
	p.outputs.release()
	return task, nil
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
	ctr, err := c.cd.LoadContainer(ctx, id)
	if err == nil {
		c.drain(id, time.Now())
		err = c.deleteTask(ctx, ctr)
	}
	if err == nil {
		err = c.removeGroup(ctx, ctr)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return Failure(fmt.Errorf("reap container: %w", err), "")
	}
	c.endPump(id)
	return nil
}

// removeGroup is called when the task is gone. A sandbox has no group but its
// processes'.
func (c *Client) removeGroup(ctx context.Context, ctr containerd.Container) error {
	rec, err := ctr.Info(ctx, containerd.WithoutRefreshedMetadata)
	if err != nil || rec.Labels[LabelCgroup] == "" {
		return err
	}
	return c.cfg.RemoveGroup(ctx, rec.Labels[LabelCgroup])
}

// Remove kills the task if there is one, and removes record, snapshot and
// FIFOs; what is not there is success.
func (c *Client) Remove(ctx context.Context, id string) error {
	ctx = c.Context(ctx)
	ctr, err := c.cd.LoadContainer(ctx, id)
	if err == nil {
		err = c.removeRecord(ctx, ctr)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return Failure(fmt.Errorf("remove container: %w", err), "")
	}
	c.endPump(id)
	c.forget(id)
	return nil
}

func (c *Client) removeRecord(ctx context.Context, ctr containerd.Container) error {
	if err := c.deleteTask(ctx, ctr, containerd.WithProcessKill); err != nil {
		return err
	}
	c.drain(ctr.ID(), time.Now())
	if err := c.removeGroup(ctx, ctr); err != nil {
		return err
	}
	return ctr.Delete(ctx, containerd.WithSnapshotCleanup)
}
