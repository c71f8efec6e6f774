package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"k8s.io/apimachinery/pkg/types"
)

// mark says that a volume was set up. It holds for one boot of the host: after
// the next a tmpfs is empty, a hostPath may be another, and what was not synced
// may be torn, so that the volume is to be set up again, as a kubelet does.
type mark struct {
	// Hash is the content's, as pod.VolumeConfig has it.
	Hash string `json:"hash,omitempty"`
	// Boot is the kernel's id of the boot.
	Boot string `json:"boot"`
	// Tmpfs says that the volume is one.
	Tmpfs bool `json:"tmpfs,omitempty"`
}

// markSuffix can't be part of a volume's name, which is a DNS label.
const markSuffix = ".ready"

func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// write replaces the mark of the volume at dir at once.
func (m mark) write(dir string) error {
	if old, err := readMark(dir); err == nil && old == m {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	fresh := dir + markSuffix + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return os.Rename(fresh, dir+markSuffix)
}

// readMark is of no boot when there is none, or one that a power failure tore.
func readMark(dir string) (mark, error) {
	text, err := os.ReadFile(dir + markSuffix)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return mark{}, err
	}
	var m mark
	if json.Unmarshal(text, &m) != nil {
		return mark{}, nil
	}
	return m, nil
}

// Observe tells which volumes of a pod are ready, with the hash of their
// content, and whether the pod has anything on disk.
func (v *Volumes) Observe(uid types.UID) (volumes map[string]string, files bool, err error) {
	entries, err := os.ReadDir(filepath.Dir(v.dir(uid, "any")))
	if errors.Is(err, os.ErrNotExist) {
		_, err := os.Lstat(v.podDir(uid))
		return nil, err == nil, nil
	}
	if err != nil {
		return nil, true, failure(fmt.Errorf("look at volumes of pod %s: %w", uid, err))
	}
	boot, err := bootID()
	if err != nil {
		return nil, true, failure(fmt.Errorf("look at volumes of pod %s: %w", uid, err))
	}
	volumes = map[string]string{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), markSuffix)
		if !ok {
			continue
		}
		m, ready, err := observe(v.dir(uid, name), boot)
		if err != nil {
			return nil, true, failure(fmt.Errorf("look at volume %q of pod %s: %w", name, uid, err))
		}
		if ready {
			volumes[name] = m.Hash
		}
	}
	return volumes, true, nil
}

func observe(dir, boot string) (m mark, ready bool, err error) {
	if m, err = readMark(dir); err != nil || m.Boot != boot {
		return m, false, err
	}
	if !m.Tmpfs {
		return m, true, nil
	}
	mounted, err := mountinfo.Mounted(dir)
	if errors.Is(err, os.ErrNotExist) {
		return m, false, nil
	}
	return m, mounted, err
}
