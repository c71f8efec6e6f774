package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// record is what we know of a pod's network, in <run dir>/cni/pods/<uid>.json.
// It is written before the wiring, without addresses, and again after it.
type record struct {
	SandboxID string         `json:"sandboxID"`
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	IPs       []string       `json:"ips,omitempty"`
	HostPorts []pod.HostPort `json:"hostPorts,omitempty"`
}

func (r *record) ready() bool { return len(r.IPs) > 0 }

func (n *Network) dir(parts ...string) string {
	return filepath.Join(append([]string{n.cfg.RunDir}, parts...)...)
}

const recordSuffix = ".json"

func (n *Network) recordPath(uid types.UID) string {
	return n.dir("cni", "pods", string(uid)+recordSuffix)
}

// read is nil when there is none.
func (n *Network) read(uid types.UID) (*record, error) {
	text, err := os.ReadFile(n.recordPath(uid))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read network record: %w", err)
	}
	var rec record
	if err := json.Unmarshal(text, &rec); err != nil {
		return nil, fmt.Errorf("read network record %s: %w", n.recordPath(uid), err)
	}
	return &rec, nil
}

// write replaces it at once.
func (n *Network) write(uid types.UID, rec *record) error {
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	path := n.recordPath(uid)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write network record: %w", err)
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("write network record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write network record: %w", err)
	}
	return nil
}

func (n *Network) erase(uid types.UID) error {
	err := os.Remove(n.recordPath(uid))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network record: %w", err)
	}
	return nil
}

// records are those of all pods.
func (n *Network) records() (map[types.UID]*record, error) {
	paths, err := filepath.Glob(n.dir("cni", "pods", "*"+recordSuffix))
	if err != nil {
		return nil, err
	}
	out := map[types.UID]*record{}
	for _, path := range paths {
		uid := types.UID(strings.TrimSuffix(filepath.Base(path), recordSuffix))
		rec, err := n.read(uid)
		if err != nil {
			return nil, err
		}
		if rec != nil {
			out[uid] = rec
		}
	}
	return out, nil
}

// eraseLeases removes what host-local leaves when no address is given out.
func (n *Network) eraseLeases() error { return os.RemoveAll(n.dir("cni", "leases")) }
