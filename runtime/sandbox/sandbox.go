package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/pause"
)

// Config says where things are.
type Config struct {
	// CgroupRoot is the parent of the pods' cgroups.
	CgroupRoot runtime.CgroupRoot
	// LogDir is where pods have their log directories.
	LogDir string
	// Namespace gives the path of a pod's network namespace, which it makes if
	// it is missing.
	Namespace func(context.Context, types.UID) (string, error)
}

// Sandboxes makes and removes pause containers. It may be used by many
// goroutines at once.
type Sandboxes struct {
	cfg Config
	rt  *runtime.Client
	cd  *containerd.Client
	log *zap.Logger
	// image guards the import of the built-in image.
	image sync.Mutex
}

// New uses an existing connection to containerd.
func New(rt *runtime.Client, cfg Config, log *zap.Logger) *Sandboxes {
	return &Sandboxes{cfg: cfg, rt: rt, cd: rt.Containerd(), log: log}
}

// Create creates and starts one attempt, with the files and the /dev/shm that
// the pod's containers share; one that runs already is success.
func (s *Sandboxes) Create(ctx context.Context, cfg pod.SandboxConfig) error {
	ctx = s.rt.Context(ctx)
	if err := s.create(ctx, cfg); err != nil {
		return failure(fmt.Errorf("create sandbox %s/%s: %w", cfg.Pod.Namespace, cfg.Pod.Name, err))
	}
	return nil
}

func (s *Sandboxes) create(ctx context.Context, cfg pod.SandboxConfig) error {
	if err := checkSysctls(cfg.Pod); err != nil {
		return err
	}
	netns := ""
	if !cfg.HostNetwork {
		var err error
		if netns, err = s.cfg.Namespace(ctx, cfg.Pod.UID); err != nil {
			return err
		}
	}
	if err := s.makeFiles(cfg); err != nil {
		return err
	}
	ctr, err := s.cd.LoadContainer(ctx, cfg.ID)
	if errdefs.IsNotFound(err) {
		ctr, err = s.record(ctx, cfg, netns)
	}
	if err != nil {
		return err
	}
	return start(ctx, ctr)
}

// record makes the snapshot and the containerd container.
func (s *Sandboxes) record(ctx context.Context, cfg pod.SandboxConfig, netns string) (containerd.Container, error) {
	ctx, release, err := s.rt.Protect(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	img, err := s.pauseImage(ctx)
	if err != nil {
		return nil, err
	}
	key := pod.Key{UID: cfg.Pod.UID, Namespace: cfg.Pod.Namespace, Name: cfg.Pod.Name}
	ctr, err := s.cd.NewContainer(ctx, cfg.ID,
		containerd.WithImage(img),
		containerd.WithContainerLabels(runtime.PodLabels(key, runtime.KindSandbox, cfg.Attempt)),
		containerd.WithSnapshotter(s.rt.Snapshotter()),
		s.rt.NewSnapshot(cfg.ID, img),
		s.rt.Runtime(),
		containerd.WithNewSpec(s.spec(cfg, netns)...))
	if err != nil {
		return nil, err
	}
	s.rt.Remember(cfg.ID, cfg.Pod.UID)
	return ctr, nil
}

// start runs the pause program; one that runs is success, and one that ended
// is not started again: its attempt is over.
func start(ctx context.Context, ctr containerd.Container) error {
	task, err := ctr.Task(ctx, nil)
	if errdefs.IsNotFound(err) {
		task, err = runtime.NewTask(ctx, ctr, cio.NullIO)
	}
	if err != nil {
		return err
	}
	return runtime.StartTask(ctx, ctr, task)
}

// pauseImage imports the built-in image if containerd does not have it (any
// more), or a damaged one. It never goes to the network.
func (s *Sandboxes) pauseImage(ctx context.Context) (containerd.Image, error) {
	s.image.Lock()
	defer s.image.Unlock()
	img, err := s.rt.Find(ctx, pause.ImageName)
	if img != nil || err != nil {
		return img, err
	}
	archive, err := pause.Archive()
	if err != nil {
		return nil, err
	}
	if _, err := (runtime.Images{Client: s.rt}).Import(ctx, bytes.NewReader(archive), ""); err != nil {
		return nil, fmt.Errorf("import the built-in pause image: %w", err)
	}
	return s.cd.GetImage(ctx, pause.ImageName)
}

// Remove kills and removes one attempt and, with the last one, the pod's
// /dev/shm; what is not there is success.
func (s *Sandboxes) Remove(ctx context.Context, uid types.UID, id string) error {
	if err := s.rt.Remove(ctx, id); err != nil {
		return fmt.Errorf("remove sandbox: %w", err)
	}
	others, err := s.rt.Sandboxes(ctx, uid)
	if err != nil {
		return fmt.Errorf("remove sandbox: %w", err)
	}
	if others > 0 {
		return nil
	}
	if err := removeShm(filepath.Join(s.rt.RunPodDir(uid), "shm")); err != nil {
		return failure(fmt.Errorf("remove the pod's /dev/shm: %w", err))
	}
	if err := os.RemoveAll(s.rt.RunPodDir(uid)); err != nil {
		return failure(fmt.Errorf("remove the pod's run directory: %w", err))
	}
	return nil
}

func failure(err error) error { return runtime.Failure(err, "FailedCreatePodSandBox") }
