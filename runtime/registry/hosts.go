package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/pelletier/go-toml/v2"
	"github.com/sirupsen/logrus"
)

// hostsFile are the keys that containerd knows of a hosts.toml.
// See containerd's docs/hosts.md.
type hostsFile struct {
	Server string              `toml:"server"`
	Host   map[string]hostKeys `toml:"host"`
	hostKeys
}

type hostKeys struct {
	Capabilities []string       `toml:"capabilities"`
	CA           any            `toml:"ca"`
	Client       any            `toml:"client"`
	SkipVerify   bool           `toml:"skip_verify"`
	Header       map[string]any `toml:"header"`
	OverridePath bool           `toml:"override_path"`
	DialTimeout  string         `toml:"dial_timeout"`
}

// hostsDir finds the directory of a registry below root, as containerd does.
// A hosts.toml in it that containerd would not understand is an error, which
// containerd itself only logs.
func hostsDir(root string) func(string) (string, error) {
	find := config.HostDirFromRoot(root)
	return func(host string) (string, error) {
		dir, err := find(host)
		if errdefs.IsNotFound(err) {
			return "", err
		}
		if err != nil {
			return "", fmt.Errorf("look for the configuration of registry %s: %w", host, err)
		}
		return dir, checkHosts(dir, host)
	}
}

func checkHosts(dir, host string) error {
	file := filepath.Join(dir, "hosts.toml")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration of registry %s: %w", host, err)
	}
	if err := checkKeys(text); err != nil {
		return fmt.Errorf("the configuration of registry %s in %s is broken: %w", host, file, err)
	}
	// containerd's own parser is the judge of the values.
	ctx, told := listen(context.Background())
	load := config.ConfigureHosts(ctx, config.HostOptions{HostDir: func(string) (string, error) { return dir, nil }})
	if _, err := load(host); err != nil {
		return fmt.Errorf("the configuration of registry %s in %s can't be used: %w", host, file, err)
	}
	if told.err != nil {
		return fmt.Errorf("the configuration of registry %s in %s is broken: %w", host, file, told.err)
	}
	return nil
}

func checkKeys(text []byte) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&hostsFile{})
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		line, _ := unknown.Errors[0].Position()
		return fmt.Errorf("line %d: unknown key %q", line, join(unknown.Errors[0].Key()))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, column := wrong.Position()
		return fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	return err
}

func join(key toml.Key) string {
	var out bytes.Buffer
	for i, part := range key {
		if i > 0 {
			out.WriteByte('.')
		}
		out.WriteString(part)
	}
	return out.String()
}

// ear keeps the first error that containerd's library logs.
type ear struct{ err error }

// Levels implements logrus.Hook.
func (*ear) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel} }

// Fire implements logrus.Hook.
func (e *ear) Fire(entry *logrus.Entry) error {
	if err, ok := entry.Data[logrus.ErrorKey].(error); ok && e.err == nil {
		e.err = err
	}
	return nil
}

// listen gives a context in which containerd's library logs to an ear alone,
// from one goroutine.
func listen(ctx context.Context) (context.Context, *ear) {
	told := &ear{}
	return quiet(ctx, told), told
}

// quiet gives a context in which containerd's library logs to hooks alone.
func quiet(ctx context.Context, hooks ...logrus.Hook) context.Context {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	for _, hook := range hooks {
		logger.AddHook(hook)
	}
	return log.WithLogger(ctx, logrus.NewEntry(logger))
}
