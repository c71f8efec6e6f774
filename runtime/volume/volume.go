package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Volumes are what pods have on disk. Calls for one pod are not to overlap,
// but for Setup of different volumes and Observe.
type Volumes struct {
	root string
	log  *zap.Logger
}

// New works below podd's root.
func New(root string, log *zap.Logger) *Volumes { return &Volumes{root: root, log: log} }

func (v *Volumes) podDir(uid types.UID) string { return filepath.Join(v.root, "pods", string(uid)) }

func (v *Volumes) dir(uid types.UID, name string) string {
	return filepath.Join(v.podDir(uid), "volumes", name)
}

// Path is where on the host a volume is: a hostPath where it says, any other
// below the pod's directory.
func (v *Volumes) Path(uid types.UID, vol corev1.Volume) string {
	if vol.HostPath != nil {
		return vol.HostPath.Path
	}
	return v.dir(uid, vol.Name)
}

// Setup makes one volume ready, or brings its content up to date. Done twice
// it changes nothing. What a failed one leaves is not observed, and the next
// goes on from there.
func (v *Volumes) Setup(_ context.Context, cfg pod.VolumeConfig) error {
	if err := v.setup(cfg); err != nil {
		return failure(err) // who asked knows which volume, and says so in the event
	}
	return nil
}

func (v *Volumes) setup(cfg pod.VolumeConfig) error {
	dir := v.dir(cfg.UID, cfg.Volume.Name)
	boot, err := bootID()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return err
	}
	m := mark{Boot: boot, Hash: cfg.Hash}
	switch src := cfg.Volume.VolumeSource; {
	case src.HostPath != nil:
		err = checkHostPath(src.HostPath)
	case src.EmptyDir != nil:
		m.Tmpfs = src.EmptyDir.Medium == corev1.StorageMediumMemory
		err = makeEmptyDir(dir, src.EmptyDir, cfg.FSGroup)
	case src.Secret != nil:
		m.Tmpfs = true
		if err = mountTmpfs(dir, ""); err == nil {
			err = writePayload(dir, cfg)
		}
	case src.ConfigMap != nil:
		if err = makeDir(dir, 0o777); err == nil {
			err = writePayload(dir, cfg)
		}
	default:
		err = permanent("no way to make a volume of this kind")
	}
	if err != nil {
		return err
	}
	return m.write(dir)
}

// Pods lists the pods that have anything on disk. Only their uid is known.
func (v *Volumes) Pods() ([]pod.Key, error) {
	entries, err := os.ReadDir(filepath.Join(v.root, "pods"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, failure(fmt.Errorf("list pods' directories: %w", err))
	}
	keys := make([]pod.Key, 0, len(entries))
	for _, e := range entries {
		keys = append(keys, pod.Key{UID: types.UID(e.Name())})
	}
	return keys, nil
}

// reason is what a kubelet's event says of a volume that could not be made.
const reason = "FailedMount"

func permanent(format string, args ...any) error {
	return &pod.Failure{Kind: pod.Permanent, Reason: reason, Message: fmt.Sprintf(format, args...)}
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
