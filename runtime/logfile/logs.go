package logfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Logs are the log files of all pods:
//
//	<dir>/<namespace>_<name>_<uid>/<container>/<attempt>.log
type Logs struct{ dir string }

// New works on one log directory, which need not exist yet.
func New(dir string) *Logs { return &Logs{dir: dir} }

// Dir is a pod's log directory.
func (l *Logs) Dir(key pod.Key) string {
	return filepath.Join(l.dir, fmt.Sprintf("%s_%s_%s", key.Namespace, key.Name, key.UID))
}

// Path is the log of one attempt of one container.
func (l *Logs) Path(key pod.Key, container string, attempt int) string {
	return filepath.Join(l.Dir(key), container, strconv.Itoa(attempt)+".log")
}

// Exists tells whether a pod has a log directory.
func (l *Logs) Exists(key pod.Key) (bool, error) {
	_, err := os.Stat(l.Dir(key))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Remove removes a pod's logs; none is success.
func (l *Logs) Remove(_ context.Context, key pod.Key) error {
	if err := os.RemoveAll(l.Dir(key)); err != nil {
		return &pod.Failure{Kind: pod.Transient, Message: fmt.Sprintf("remove logs of %s/%s: %v", key.Namespace, key.Name, err)}
	}
	return nil
}

// Prune keeps the logs of a container's present attempt and of the one before.
func (l *Logs) Prune(key pod.Key, container string, present int) error {
	dir := filepath.Join(l.Dir(key), container)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		attempt, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".log"))
		if err == nil && attempt < present-1 {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Pods lists the pods that have logs.
func (l *Logs) Pods() ([]pod.Key, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var keys []pod.Key
	for _, e := range entries {
		parts := strings.SplitN(e.Name(), "_", 3)
		if e.IsDir() && len(parts) == 3 {
			keys = append(keys, pod.Key{Namespace: parts[0], Name: parts[1], UID: types.UID(parts[2])})
		}
	}
	return keys, nil
}
