package logfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// Logs are the log files of all pods.
type Logs struct {
	dir, links string
	log        *zap.Logger
}

// New works on one log directory, which need not exist yet. Every log gets a
// link in the directory links; if that is empty, none does.
func New(dir, links string, log *zap.Logger) *Logs {
	return &Logs{dir: dir, links: links, log: log}
}

// Dir is a pod's log directory.
func (l *Logs) Dir(key pod.Key) string {
	return filepath.Join(l.dir, fmt.Sprintf("%s_%s_%s", key.Namespace, key.Name, key.UID))
}

// Path is the log of one attempt of one container.
func (l *Logs) Path(key pod.Key, container string, attempt int) string {
	return filepath.Join(l.Dir(key), container, strconv.Itoa(attempt)+logSuffix)
}

const logSuffix = ".log"

// Open opens the log of one attempt, at a path that Path gave, for appending.
// Of the container's other logs only that of the attempt before is kept. A
// link that can't be made is no reason to lose a container's output: it is
// logged.
func (l *Logs) Open(path string) (*Writer, error) {
	w, err := Open(path)
	if err != nil {
		return nil, err
	}
	if err := l.prune(path); err != nil {
		l.log.Warn("could not remove a container's old logs", zap.String("log", path), zap.Error(err))
	}
	if err := l.link(path); err != nil {
		l.log.Warn("could not link to a container's log", zap.String("log", path), zap.Error(err))
	}
	return w, nil
}

// prune removes what is older than the attempt before that of path.
func (l *Logs) prune(path string) error {
	present, err := attemptOf(path)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		old := filepath.Join(filepath.Dir(path), e.Name())
		if attempt, err := attemptOf(old); err != nil || attempt >= present-1 {
			continue
		}
		if err := l.remove(old); err != nil {
			return err
		}
	}
	return nil
}

// remove removes one log with its link.
func (l *Logs) remove(path string) error {
	if link := l.linkTo(path); link != "" {
		if err := removeIfThere(link); err != nil {
			return err
		}
	}
	return removeIfThere(path)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (l *Logs) link(path string) error {
	link := l.linkTo(path)
	if link == "" {
		return nil
	}
	if now, err := os.Readlink(link); err == nil && now == path {
		return nil
	}
	if err := os.MkdirAll(l.links, 0o755); err != nil {
		return err
	}
	if err := removeIfThere(link); err != nil {
		return err
	}
	return os.Symlink(path, link)
}

// linkTo is where the link to a log belongs, or empty when there is to be
// none. Everything in its name is in the log's path, since a container's id is
// made from it.
func (l *Logs) linkTo(path string) string {
	attempt, err := attemptOf(path)
	key, ok := keyOf(filepath.Base(filepath.Dir(filepath.Dir(path))))
	if l.links == "" || err != nil || !ok {
		return ""
	}
	container := filepath.Base(filepath.Dir(path))
	id := pod.ID(key.UID, container, attempt)
	return filepath.Join(l.links, fmt.Sprintf("%s_%s_%s-%s%s", key.Name, key.Namespace, container, id, logSuffix))
}

func attemptOf(path string) (int, error) {
	return strconv.Atoi(strings.TrimSuffix(filepath.Base(path), logSuffix))
}

// keyOf reads the name of a pod's log directory. Names and namespaces have no
// underscores.
func keyOf(dir string) (pod.Key, bool) {
	parts := strings.SplitN(dir, "_", 3)
	if len(parts) != 3 {
		return pod.Key{}, false
	}
	return pod.Key{Namespace: parts[0], Name: parts[1], UID: types.UID(parts[2])}, true
}

// Exists tells whether a pod has a log directory.
func (l *Logs) Exists(key pod.Key) (bool, error) {
	_, err := os.Stat(l.Dir(key))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Remove removes a pod's logs and the links to them; none is success.
func (l *Logs) Remove(_ context.Context, key pod.Key) error {
	err := l.removeLinks(key)
	if err == nil {
		err = os.RemoveAll(l.Dir(key))
	}
	if err != nil {
		return &pod.Failure{Kind: pod.Transient, Message: fmt.Sprintf("remove logs of %s/%s: %v", key.Namespace, key.Name, err)}
	}
	return nil
}

// removeLinks goes by where links lead to: the logs may be gone already.
func (l *Logs) removeLinks(key pod.Key) error {
	if l.links == "" {
		return nil
	}
	entries, err := os.ReadDir(l.links)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	prefix := key.Name + "_" + key.Namespace + "_"
	for _, e := range entries {
		link := filepath.Join(l.links, e.Name())
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if target, err := os.Readlink(link); err != nil || !strings.HasPrefix(target, l.Dir(key)+"/") {
			continue
		}
		if err := removeIfThere(link); err != nil {
			return err
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
		if key, ok := keyOf(e.Name()); ok && e.IsDir() {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
