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

// Volumes are what pods have on disk:
//
//	<root>/pods/<uid>/volumes/<name>/      emptyDir, configMap, secret
//	<root>/pods/<uid>/volumes/<name>.ready what Observe reads: the volume was set up
//
// The rest of <root>/pods/<uid> is the sandbox's and the containers'; Remove
// removes all of it.
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
// it changes nothing.
func (v *Volumes) Setup(_ context.Context, cfg pod.VolumeConfig) error {
	if err := v.setup(cfg); err != nil {
		return failure(fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", cfg.Volume.Name, err))
	}
	return nil
}

func (v *Volumes) setup(cfg pod.VolumeConfig) error {
	dir := v.dir(cfg.UID, cfg.Volume.Name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return err
	}
	var err error
	switch src := cfg.Volume.VolumeSource; {
	case src.HostPath != nil:
		err = checkHostPath(src.HostPath)
	case src.EmptyDir != nil:
		err = makeEmptyDir(dir, src.EmptyDir, cfg.FSGroup)
	case src.Secret != nil:
		if err = mountTmpfs(dir, ""); err == nil {
			err = writePayload(dir, cfg)
		}
	case src.ConfigMap != nil:
		if err = makeDir(dir, 0o777); err == nil {
			err = writePayload(dir, cfg)
		}
	default:
		err = errors.New("no way to make a volume of this kind")
	}
	if err != nil {
		return err
	}
	return v.markReady(cfg)
}

// markReady is the last step: a volume without its mark is not observed.
func (v *Volumes) markReady(cfg pod.VolumeConfig) error {
	mark := v.dir(cfg.UID, cfg.Volume.Name) + markSuffix
	if old, err := os.ReadFile(mark); err == nil && string(old) == cfg.Hash {
		return nil
	}
	tmp := mark + ".new"
	if err := os.WriteFile(tmp, []byte(cfg.Hash), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, mark)
}

// markSuffix can't be part of a volume's name, which is a DNS label.
const markSuffix = ".ready"

// Observe tells which volumes of a pod are ready, with the hash of their
// content, and whether the pod has anything on disk.
func (v *Volumes) Observe(uid types.UID) (volumes map[string]string, files bool, err error) {
	if _, err := os.Lstat(v.podDir(uid)); errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	marks, err := filepath.Glob(filepath.Join(v.podDir(uid), "volumes", "*"+markSuffix))
	if err != nil {
		return nil, true, err
	}
	volumes = map[string]string{}
	for _, mark := range marks {
		hash, err := os.ReadFile(mark)
		if err != nil {
			return nil, true, failure(fmt.Errorf("look at volumes of pod %s: %w", uid, err))
		}
		dir := mark[:len(mark)-len(markSuffix)]
		if lostMount(dir) {
			continue // a tmpfs that did not survive a boot
		}
		volumes[filepath.Base(dir)] = string(hash)
	}
	return volumes, true, nil
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

func failure(err error) error {
	var known *pod.Failure
	if errors.As(err, &known) {
		return err
	}
	return &pod.Failure{Kind: pod.Transient, Reason: "FailedMount", Message: err.Error()}
}
