package cni

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"go.uber.org/zap"
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
	// PodCIDR is the built-in bridge's network, of IPv4 for now.
	PodCIDR netip.Prefix
}

// Network makes and wires pods' network namespaces. It may be used by many
// goroutines at once, but Setup and Remove of one pod are not to overlap.
type Network struct {
	cfg  Config
	log  *zap.Logger
	name string // of bridge, CNI network and nft table
	// chosen is the host's conflist that new pods are wired with; nil means
	// the built-in bridge.
	chosen []byte

	// shared is held for reading while a pod is being wired, for writing while
	// what all pods share is removed.
	shared sync.RWMutex
	// making guards the making of namespaces, which the sandbox and Setup may
	// both ask for.
	making sync.Mutex
	// bridge guards the making of the bridge.
	bridge sync.Mutex
	// rules guards the nft table, which is written as a whole, and written.
	rules sync.Mutex
	// written is what the table was last written from.
	written string
}

// New reads the network configuration. It changes nothing on the host.
func New(cfg Config, log *zap.Logger) (*Network, error) {
	if !cfg.PodCIDR.Addr().Is4() {
		return nil, fmt.Errorf("pod CIDR %s is not IPv4", cfg.PodCIDR)
	}
	chosen, err := hostConflist(cfg.ConfDir)
	if err != nil {
		return nil, err
	}
	return &Network{cfg: cfg, log: log, name: "podd" + hash(cfg.Root), chosen: chosen}, nil
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
	n.shared.RLock()
	defer n.shared.RUnlock()
	path, err := n.Namespace(ctx, cfg.UID)
	if err != nil {
		return err
	}
	id, err := namespaceID(path)
	if err != nil {
		return err
	}
	old, err := n.read(cfg.UID)
	if err != nil {
		return err
	}
	if old != nil && old.wired(id) {
		return n.publish(old)
	}
	if err := checkPorts(cfg.HostPorts); err != nil {
		return err
	}
	if old != nil { // an interrupted try, or one before a boot, may hold an address
		if err := n.detach(ctx, old, cfg, path); err != nil {
			return fmt.Errorf("undo an earlier try: %w", err)
		}
	}
	rec, err := n.newRecord(cfg, id)
	if err != nil {
		return err
	}
	if err := n.write(cfg.UID, rec); err != nil {
		return err
	}
	return n.wire(ctx, cfg, rec, path)
}

// wire makes the pod reachable. The record with its addresses comes last but
// for the rules, which are made from it: a pod counts as wired when it is
// there, and Setup then still writes the rules.
func (n *Network) wire(ctx context.Context, cfg pod.NetworkConfig, rec *record, path string) error {
	if rec.Builtin {
		if err := n.ensureBridge(); err != nil {
			return err
		}
	}
	ips, err := n.attach(ctx, rec, cfg, path)
	if err != nil {
		return err
	}
	rec.IPs = ips
	if err := n.write(cfg.UID, rec); err != nil {
		return err
	}
	return n.publish(rec)
}

// publish opens a pod's host ports. Flows that were under way to them before
// would go on past the rules.
func (n *Network) publish(rec *record) error {
	if !rec.Builtin {
		return nil // a plugin's affair
	}
	changed, err := n.writeRules()
	if err != nil || !changed {
		return err
	}
	return forgetFlows(rec.HostPorts)
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
	rec, err := n.unwire(ctx, cfg)
	if err != nil {
		return err
	}
	left, err := n.bridged()
	if err != nil {
		return err
	}
	if len(left) == 0 {
		err = n.removeShared()
	} else {
		_, err = n.writeRules()
	}
	if err != nil || rec == nil || !rec.Builtin {
		return err
	}
	return forgetFlows(rec.HostPorts)
}

func (n *Network) unwire(ctx context.Context, cfg pod.NetworkConfig) (*record, error) {
	n.shared.RLock()
	defer n.shared.RUnlock()
	rec, err := n.read(cfg.UID)
	if err != nil {
		return nil, err
	}
	path := n.nsPath(cfg.UID)
	if rec != nil {
		there := path
		if !isNamespace(path) {
			there = "" // a plugin then frees what it keeps outside of it
		}
		if err := n.detach(ctx, rec, cfg, there); err != nil {
			return nil, err
		}
	}
	if err := removeNamespace(path); err != nil {
		return nil, err
	}
	return rec, n.erase(cfg.UID)
}

// removeShared removes what the built-in network's pods share, if there is
// still none.
func (n *Network) removeShared() error {
	n.shared.Lock()
	defer n.shared.Unlock()
	if left, err := n.bridged(); err != nil || len(left) > 0 {
		return err
	}
	if err := errors.Join(n.removeRules(), removeBridge(n.name), os.RemoveAll(n.leases())); err != nil {
		return fmt.Errorf("remove the pods' bridge: %w", err)
	}
	return nil
}

// Close removes what the built-in network's pods share if there are none. It has
// gone with the last one already, unless a plugin that an earlier podd left
// running when it was killed made some of it again.
func (n *Network) Close() error { return n.removeShared() }

// Observe tells of a pod's network; it is nil when there is nothing of it.
func (n *Network) Observe(_ context.Context, uid types.UID) (*pod.Network, error) {
	rec, err := n.read(uid)
	if err != nil {
		return nil, failure(err)
	}
	path := n.nsPath(uid)
	if !isNamespace(path) {
		if _, err := os.Lstat(path); rec == nil && err != nil {
			return nil, nil
		}
		return &pod.Network{}, nil // there is still something to remove
	}
	id, err := namespaceID(path)
	if err != nil {
		return nil, failure(err)
	}
	if rec == nil || !rec.wired(id) {
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
	entries, err := os.ReadDir(n.nsPath(""))
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

// failure keeps the kind of one that is wrapped.
func failure(err error) error {
	kind := pod.Transient
	var known *pod.Failure
	if errors.As(err, &known) {
		kind = known.Kind
	}
	return &pod.Failure{Kind: kind, Reason: reason, Message: err.Error()}
}

// reason is what a kubelet's event says of a pod that has no network.
const reason = "FailedCreatePodSandBox"
