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

// record is what we know of a pod's network. It is written before the wiring,
// without addresses, and again after it.
type record struct {
	SandboxID string `json:"sandboxID"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Within is the network namespace that was wired: its namespaceID.
	Within    string         `json:"within"`
	IPs       []string       `json:"ips,omitempty"`
	HostPorts []pod.HostPort `json:"hostPorts,omitempty"`
	// Conflist is what the pod was wired with, and is to be unwired with even
	// if the host's has changed since.
	Conflist json.RawMessage `json:"conflist"`
	// Builtin means that it is the built-in bridge's.
	Builtin bool `json:"builtin,omitempty"`
}

// wired says whether just this namespace was.
func (r *record) wired(namespace string) bool { return len(r.IPs) > 0 && r.Within == namespace }

func (n *Network) newRecord(cfg pod.NetworkConfig, within string) (*record, error) {
	conflist, builtin, err := n.conflist()
	return &record{
		SandboxID: cfg.SandboxID, Namespace: cfg.Namespace, Name: cfg.Name,
		Within: within, HostPorts: cfg.HostPorts, Conflist: conflist, Builtin: builtin,
	}, err
}

func (n *Network) recordDir() string { return filepath.Join(n.cfg.Root, "cni") }

const recordSuffix = ".json"

func (n *Network) recordPath(uid types.UID) string {
	return filepath.Join(n.recordDir(), string(uid)+recordSuffix)
}

// read is nil when there is none. One that a power failure tore says only that
// the pod was being wired.
func (n *Network) read(uid types.UID) (*record, error) {
	text, err := os.ReadFile(n.recordPath(uid))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read network record: %w", err)
	}
	var rec record
	if json.Unmarshal(text, &rec) == nil {
		return &rec, nil
	}
	return n.newRecord(pod.NetworkConfig{}, "")
}

// write replaces it at once.
func (n *Network) write(uid types.UID, rec *record) error {
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.recordDir(), 0o700); err != nil {
		return fmt.Errorf("write network record: %w", err)
	}
	fresh := n.recordPath(uid) + ".new"
	err = os.WriteFile(fresh, text, 0o600)
	if err == nil {
		err = os.Rename(fresh, n.recordPath(uid))
	}
	if err != nil {
		return fmt.Errorf("write network record: %w", errors.Join(err, removeIfThere(fresh)))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (n *Network) erase(uid types.UID) error {
	if err := removeIfThere(n.recordPath(uid)); err != nil {
		return fmt.Errorf("remove network record: %w", err)
	}
	return nil
}

// records are those of all pods.
func (n *Network) records() (map[types.UID]*record, error) {
	entries, err := os.ReadDir(n.recordDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list network records: %w", err)
	}
	out := map[types.UID]*record{}
	for _, e := range entries {
		uid, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if !ok {
			continue
		}
		rec, err := n.read(types.UID(uid))
		if err != nil {
			return nil, err
		}
		if rec != nil {
			out[types.UID(uid)] = rec
		}
	}
	return out, nil
}

// bridged are the records of the built-in network's pods.
func (n *Network) bridged() (map[types.UID]*record, error) {
	recs, err := n.records()
	for uid, rec := range recs {
		if !rec.Builtin {
			delete(recs, uid)
		}
	}
	return recs, err
}
