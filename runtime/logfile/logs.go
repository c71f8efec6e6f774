package logfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	cfg Config
	log *zap.Logger
	// turn is had by whoever compresses: one at a time.
	turn chan struct{}
}

// Config says where logs are and what they may take.
type Config struct {
	// Dir need not exist yet.
	Dir string
	// Links is a directory in which every log gets a link; empty for none.
	Links string
	// Limits are for logs whose pod asks for none of its own; zero for the
	// default ones, which are a kubelet's.
	Limits pod.LogLimits
	// Instances is how many instances of a container have their logs kept, the
	// present one included; 0 means 2.
	Instances int
}

// New works on one log directory.
func New(cfg Config, log *zap.Logger) *Logs {
	cfg.Limits = limitsOr(cfg.Limits, pod.LogLimits{MaxSize: 10 << 20, MaxFiles: 5})
	cfg.Instances = cmp.Or(cfg.Instances, 2)
	return &Logs{cfg: cfg, log: log, turn: make(chan struct{}, 1)}
}

func limitsOr(l, otherwise pod.LogLimits) pod.LogLimits {
	return pod.LogLimits{MaxSize: cmp.Or(l.MaxSize, otherwise.MaxSize), MaxFiles: cmp.Or(l.MaxFiles, otherwise.MaxFiles)}
}

// Dir is a pod's log directory.
func (l *Logs) Dir(key pod.Key) string {
	return filepath.Join(l.cfg.Dir, fmt.Sprintf("%s_%s_%s", key.Namespace, key.Name, key.UID))
}

// Path is the log of one attempt of one container.
func (l *Logs) Path(key pod.Key, container string, attempt int) string {
	return filepath.Join(l.Dir(key), container, strconv.Itoa(attempt)+logSuffix)
}

const logSuffix = ".log"

// Open opens the log of one attempt, at a path that Path gave, for appending.
// What limits leave open is the node's default. Logs of instances long past are
// removed. A link that can't be made is no reason to lose a container's output:
// it is logged.
func (l *Logs) Open(path string, limits pod.LogLimits) (*Writer, error) {
	w, err := Open(path, limitsOr(limits, l.cfg.Limits), l.turn, func(err error) {
		l.log.Warn("trouble with a container's log", zap.String("log", path), zap.Error(err))
	})
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

// prune removes the logs of instances of path's container that are older than
// those to keep.
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
		if attempt, err := attemptOf(old); err != nil || attempt > present-l.cfg.Instances {
			continue
		}
		if err := l.remove(old); err != nil {
			return err
		}
	}
	return nil
}

// remove removes one log with what was rotated of it and its link. The log
// itself goes last: a removal that was interrupted is found again by it.
func (l *Logs) remove(path string) error {
	if err := trim(path, 0); err != nil {
		return err
	}
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
	if err := os.MkdirAll(l.cfg.Links, 0o755); err != nil {
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
	if l.cfg.Links == "" || err != nil || !ok {
		return ""
	}
	container := filepath.Base(filepath.Dir(path))
	id := pod.ID(key.UID, container, attempt)
	return filepath.Join(l.cfg.Links, fmt.Sprintf("%s_%s_%s-%s%s", key.Name, key.Namespace, container, id, logSuffix))
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

// Size is what a pod's logs take on disk, in bytes; 0 when it has none.
func (l *Logs) Size(_ context.Context, key pod.Key) (size int64, err error) {
	err = filepath.WalkDir(l.Dir(key), func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && e.Type().IsRegular() {
			size += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // or it went meanwhile
	}
	return size, err
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
	if l.cfg.Links == "" {
		return nil
	}
	entries, err := os.ReadDir(l.cfg.Links)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	prefix := key.Name + "_" + key.Namespace + "_"
	for _, e := range entries {
		link := filepath.Join(l.cfg.Links, e.Name())
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
	entries, err := os.ReadDir(l.cfg.Dir)
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
