package runtime

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/registry"
)

// Config says which containerd to use and where things are.
type Config struct {
	// Address is containerd's socket, Namespace ours in it.
	Address, Namespace string
	// Snapshotter is "overlayfs" if empty.
	Snapshotter string
	// OCIRuntime is the path or name of runc or crun; empty leaves it to
	// containerd, which looks for runc in its PATH.
	OCIRuntime string
	// Root, RunDir and LogDir are podd's directories.
	Root, RunDir, LogDir string
	// CgroupRoot is the parent of the pods' cgroups.
	CgroupRoot CgroupRoot
	// Registries is how images are reached; nil means by nothing but their names
	// and pull secrets.
	Registries *registry.Registries
	// MaxPulls is how many images are fetched at once; 0 means 3.
	MaxPulls int64
	// PullProgressTimeout is how long the fetching of an image may go on without
	// anything coming; 0 means 5 minutes.
	PullProgressTimeout time.Duration
	// VolumePath tells where on the host a volume of a pod is.
	VolumePath func(types.UID, corev1.Volume) string
	// OpenLog opens the log of one container attempt for writing. Limits that
	// are zero are the node's.
	OpenLog func(path string, limits pod.LogLimits) (Log, error)
	// OOMKilled tells whether the kernel killed a process in a container's
	// cgroup for want of memory. It is asked while the cgroup still exists.
	OOMKilled func(cgroup string) bool
	// EmptyCgroup kills what is in a container's cgroup and waits for its end.
	EmptyCgroup func(ctx context.Context, cgroup string) error
	// MakeGroup makes what has to be there of a container's cgroup before the
	// OCI runtime makes the rest, RemoveGroup removes it when the container's
	// task is gone. Both may be done again.
	MakeGroup, RemoveGroup func(ctx context.Context, cgroup string) error
	// Checked is told of every image that is not found sound; nil for nobody.
	Checked func(pod.ImageCheck)
}

// Client drives one containerd in one namespace. It outlives restarts of
// containerd: calls fail while it is away and work again when it is back.
type Client struct {
	cfg   Config
	cd    *containerd.Client
	log   *zap.Logger
	pulls flights
	trust trust
	// Reconnects counts how often the stream of events broke off.
	Reconnects atomic.Int64

	mu    sync.Mutex
	pumps map[string]*pump     // by container id; guarded by mu
	owner map[string]types.UID // container id to pod; guarded by mu
	known map[string]described // images by name; guarded by mu
}

// Connect connects to a containerd that answers. It fails on one that podd can't
// work with, and says why. The caller closes the client.
func Connect(ctx context.Context, cfg Config, log *zap.Logger) (*Client, error) {
	if cfg.Snapshotter == "" {
		cfg.Snapshotter = "overlayfs"
	}
	if cfg.MaxPulls == 0 {
		cfg.MaxPulls = 3
	}
	if cfg.PullProgressTimeout == 0 {
		cfg.PullProgressTimeout = 5 * time.Minute
	}
	if cfg.Registries == nil {
		cfg.Registries = registry.New(registry.Config{}, log)
	}
	cd, err := containerd.New(cfg.Address,
		containerd.WithDefaultNamespace(cfg.Namespace),
		containerd.WithExtraDialOpts([]grpc.DialOption{grpc.WithConnectParams(reconnect())}))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", cfg.Address, err)
	}
	c := &Client{
		cfg: cfg, cd: cd, log: log,
		pulls: flights{queue: queue{free: cfg.MaxPulls}},
		pumps: map[string]*pump{},
		owner: map[string]types.UID{},
		known: map[string]described{},
		trust: trust{sound: map[digest.Digest]bool{}},
	}
	if err := c.check(ctx); err != nil {
		return nil, errors.Join(err, cd.Close())
	}
	if !maySetOOMScore() {
		log.Warn("podd may not lower oom_score_adj (it lacks CAP_SYS_RESOURCE): pods run with podd's own where theirs would be lower",
			zap.Int("oom_score_adj", ownOOMScoreAdj()))
	}
	return c, nil
}

// reconnect finds a containerd that comes back soon.
func reconnect() grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: 10 * time.Second,
	}
}

// Close ends the reading of container output and closes the connection.
// Containers run on. No other call is to be under way.
func (c *Client) Close() error {
	c.mu.Lock()
	pumps := c.pumps
	c.pumps = map[string]*pump{}
	c.mu.Unlock()
	for _, p := range pumps {
		p.stop()
	}
	return c.cd.Close()
}

// readyTime is what containerd has to answer the simplest question.
const readyTime = 2 * time.Second

// Ready tells whether containerd answers soon.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if _, err := c.cd.Version(ctx); err != nil {
		return fmt.Errorf("containerd at %s does not answer: %w", c.cfg.Address, err)
	}
	return nil
}

// Version is containerd's.
func (c *Client) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	v, err := c.cd.Version(ctx)
	if err != nil {
		return "", Failure(err, "")
	}
	return v.Version, nil
}

// Containerd is the connection, for package sandbox.
func (c *Client) Containerd() *containerd.Client { return c.cd }

// Context puts our containerd namespace into ctx.
func (c *Client) Context(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, c.cfg.Namespace)
}

// Runtime is the option that names the shim and the OCI runtime, whose state
// is in podd's run directory: the shim's default, /run/containerd/runc, would
// keep an empty directory for each containerd namespace.
func (c *Client) Runtime() containerd.NewContainerOpts {
	opts := &runcoptions.Options{
		BinaryName: c.cfg.OCIRuntime, Root: filepath.Join(c.cfg.RunDir, "runc"),
		SystemdCgroup: c.cfg.CgroupRoot.Systemd(),
	}
	return containerd.WithRuntime("io.containerd.runc.v2", opts)
}

// SpecVersion is the version of the OCI specification that a container's spec
// claims: crun up to 1.8 refuses later ones, although it knows what podd uses.
func (c *Client) SpecVersion(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	if strings.HasPrefix(filepath.Base(c.cfg.OCIRuntime), "crun") {
		s.Version = "1.0.2"
	}
	return nil
}

// Snapshotter is the name of the snapshotter.
func (c *Client) Snapshotter() string { return c.cfg.Snapshotter }

// Remember notes whose a container is, so that an event that names only the
// container leads to its pod.
func (c *Client) Remember(id string, uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner[id] = uid
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.owner, id)
}

// Protect holds what is made until release from containerd's garbage
// collection. The lease also ends by itself, should podd die.
func (c *Client) Protect(ctx context.Context) (context.Context, func(), error) {
	ctx, release, err := c.cd.WithLease(c.Context(ctx),
		leases.WithRandomID(), leases.WithExpiration(24*time.Hour),
		leases.WithLabel(labelInFlight, "true"))
	if err != nil {
		return nil, nil, Failure(fmt.Errorf("make a lease: %w", err), "")
	}
	return ctx, func() {
		// The lease must go even if the call was cancelled midway.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := release(clean); err != nil {
			c.log.Warn("could not release a lease; it expires by itself", zap.Error(err))
		}
	}, nil
}

func podKey(p *corev1.Pod) pod.Key {
	return pod.Key{UID: p.UID, Namespace: p.Namespace, Name: p.Name}
}
