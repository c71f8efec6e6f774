package cni

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	gocni "github.com/containerd/go-cni"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Config says how pods are to be wired.
type Config struct {
	// Root is podd's root directory: what we make on the host is named after a
	// hash of it, so that two podd don't disturb each other.
	Root string
	// RunDir holds namespaces and leases, which end with the boot.
	RunDir string
	// ConfDir is looked into for a conflist; with none, the built-in bridge is
	// used. BinDirs hold the plugins.
	ConfDir string
	BinDirs []string
	// PodCIDR is the built-in bridge's network.
	PodCIDR netip.Prefix
}

// Network makes and wires pods' network namespaces. It may be used by many
// goroutines at once.
type Network struct {
	cfg  Config
	log  *zap.Logger
	name string // of bridge, CNI network and nft table
	// builtin is false when a conflist of the host's is used: then host ports
	// are its portmap plugin's affair.
	builtin bool
	cni     gocni.CNI

	// life is held for reading while a pod is being wired, for writing while
	// what all pods share is removed.
	life sync.RWMutex
	// making guards the making of namespaces, which the sandbox and Setup may
	// both ask for.
	making sync.Mutex
	// rules guards the nft table, which is written as a whole.
	rules sync.Mutex
}

// New reads the network configuration. It changes nothing on the host.
func New(cfg Config, log *zap.Logger) (*Network, error) {
	n := &Network{cfg: cfg, log: log, name: "podd" + hash(cfg.Root)}
	conflist, err := n.conflist()
	if err != nil {
		return nil, err
	}
	n.cni, err = gocni.New(
		gocni.WithMinNetworkCount(1),
		gocni.WithPluginDir(cfg.BinDirs),
		gocni.WithInterfacePrefix("eth"),
		gocni.WithConfListBytes(conflist))
	if err != nil {
		return nil, fmt.Errorf("load CNI configuration: %w", err)
	}
	return n, nil
}

// Setup makes a pod's network namespace and wires it; one that is wired
// already is success. A host port that somebody listens on is a conflict,
// found before anything is wired.
func (n *Network) Setup(ctx context.Context, cfg pod.NetworkConfig) error {
	if err := n.setup(ctx, cfg); err != nil {
		return failure(fmt.Errorf("set up network of pod %s/%s: %w", cfg.Namespace, cfg.Name, err))
	}
	return nil
}

func (n *Network) setup(ctx context.Context, cfg pod.NetworkConfig) error {
	n.life.RLock()
	defer n.life.RUnlock()
	path, err := n.Namespace(ctx, cfg.UID)
	if err != nil {
		return err
	}
	rec, err := n.read(cfg.UID)
	if err != nil {
		return err
	}
	if rec != nil && rec.ready() {
		return n.writeRules()
	}
	if err := checkPorts(cfg.HostPorts); err != nil {
		return err
	}
	if rec != nil { // an interrupted try may hold an address
		if err := n.cni.Remove(ctx, rec.SandboxID, path); err != nil {
			return fmt.Errorf("undo an interrupted try: %w", err)
		}
	}
	rec = &record{SandboxID: cfg.SandboxID, Namespace: cfg.Namespace, Name: cfg.Name, HostPorts: cfg.HostPorts}
	if err := n.write(cfg.UID, rec); err != nil {
		return err
	}
	result, err := n.cni.Setup(ctx, cfg.SandboxID, path, n.options(cfg)...)
	if err != nil {
		return fmt.Errorf("CNI: %w", err)
	}
	if rec.IPs = addresses(result); len(rec.IPs) == 0 {
		return errors.New("CNI: the network gave the pod no address")
	}
	return n.publish(cfg.UID, rec)
}

// publish makes the pod reachable: rules first, then the record by which it
// counts as wired.
func (n *Network) publish(uid types.UID, rec *record) error {
	if n.builtin {
		if err := forwarding(n.name); err != nil {
			return err
		}
	}
	if err := n.write(uid, rec); err != nil {
		return err
	}
	return n.writeRules()
}

// Remove unwires a pod and removes its namespace. It works without Setup and
// after a reboot; what is not there is success. What the pods share goes with
// the last one.
func (n *Network) Remove(ctx context.Context, cfg pod.NetworkConfig) error {
	if err := n.remove(ctx, cfg); err != nil {
		return failure(fmt.Errorf("remove network of pod %s/%s: %w", cfg.Namespace, cfg.Name, err))
	}
	return nil
}

func (n *Network) remove(ctx context.Context, cfg pod.NetworkConfig) error {
	if err := n.unwire(ctx, cfg); err != nil {
		return err
	}
	n.life.Lock()
	defer n.life.Unlock()
	return n.settle()
}

func (n *Network) unwire(ctx context.Context, cfg pod.NetworkConfig) error {
	n.life.RLock()
	defer n.life.RUnlock()
	rec, err := n.read(cfg.UID)
	if err != nil {
		return err
	}
	if rec != nil {
		path := n.nsPath(cfg.UID)
		if !isNamespace(path) {
			path = "" // a CNI plugin then frees what it keeps outside of it
		}
		if err := n.cni.Remove(ctx, rec.SandboxID, path, n.options(cfg)...); err != nil {
			return fmt.Errorf("CNI: %w", err)
		}
	}
	if err := removeNamespace(n.nsPath(cfg.UID)); err != nil {
		return err
	}
	return n.erase(cfg.UID)
}

// settle brings the host to what the pods that remain need: rules, or, when
// there are none, nothing at all.
func (n *Network) settle() error {
	if !n.builtin {
		return nil
	}
	recs, err := n.records()
	if err != nil {
		return err
	}
	if len(recs) > 0 {
		return n.writeRules()
	}
	return errors.Join(n.removeRules(), removeBridge(n.name), n.eraseLeases())
}

// Observe tells of a pod's network; it is nil when there is no namespace.
func (n *Network) Observe(_ context.Context, uid types.UID) (*pod.Network, error) {
	rec, err := n.read(uid)
	if err != nil {
		return nil, failure(err)
	}
	if !isNamespace(n.nsPath(uid)) {
		if rec == nil {
			return nil, nil
		}
		return &pod.Network{}, nil // the boot took the namespace; there is still something to remove
	}
	if rec == nil || !rec.ready() {
		return &pod.Network{}, nil
	}
	return &pod.Network{Ready: true, IPs: rec.IPs}, nil
}

// Pods lists the pods that have a namespace or a record.
func (n *Network) Pods() ([]pod.Key, error) {
	recs, err := n.records()
	if err != nil {
		return nil, failure(err)
	}
	entries, err := os.ReadDir(n.dir("netns"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, failure(err)
	}
	for _, e := range entries {
		if uid := types.UID(e.Name()); recs[uid] == nil {
			recs[uid] = &record{}
		}
	}
	keys := make([]pod.Key, 0, len(recs))
	for uid, rec := range recs {
		keys = append(keys, pod.Key{UID: uid, Namespace: rec.Namespace, Name: rec.Name})
	}
	return keys, nil
}

func failure(err error) error {
	var known *pod.Failure
	if errors.As(err, &known) {
		return &pod.Failure{Kind: known.Kind, Reason: known.Reason, Message: err.Error()}
	}
	kind := pod.Transient
	if errors.Is(err, unix.EADDRINUSE) {
		kind = pod.Conflict
	}
	return &pod.Failure{Kind: kind, Reason: "FailedCreatePodSandBox", Message: err.Error()}
}
