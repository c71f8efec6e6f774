package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// installedBundle is where a package puts the bundle.
const installedBundle = "/usr/lib/podd/bundle"

// Bundle is a set of programs that podd starts: containerd, its shim, an OCI
// runtime, CNI plugins.
type Bundle struct {
	// Dir holds them all; it is empty when they are taken from $PATH.
	Dir string
	// Containerd is the path of containerd.
	Containerd string
}

// FindBundle finds the programs: in dir and nowhere else if dir is not empty;
// else in bundle/ beside podd's own executable, in /usr/lib/podd/bundle, and at
// last in $PATH.
func FindBundle(dir string) (Bundle, error) {
	dirs := []string{dir}
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return Bundle{}, fmt.Errorf("find the bundle beside podd: %w", err)
		}
		dirs = []string{filepath.Join(filepath.Dir(self), "bundle"), installedBundle}
	}
	for _, d := range dirs {
		path, err := exec.LookPath(filepath.Join(d, "containerd"))
		if err == nil {
			return Bundle{Dir: d, Containerd: path}, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return Bundle{}, fmt.Errorf("use the bundle in %s: %w", d, err)
		}
	}
	if dir != "" {
		return Bundle{}, fmt.Errorf("use the bundle in %s: there is no containerd in it", dir)
	}
	path, err := exec.LookPath("containerd")
	if err != nil {
		return Bundle{}, fmt.Errorf("no containerd in %s, in %s or in $PATH", dirs[0], dirs[1])
	}
	return Bundle{Containerd: path}, nil
}

// Path is a $PATH with the bundle's programs before those of path.
func (b Bundle) Path(path string) string {
	if b.Dir == "" {
		return path
	}
	if path == "" {
		return b.Dir
	}
	return b.Dir + string(filepath.ListSeparator) + path
}

// RuntimeVersion asks runc what it is; it is empty when there is none to ask.
func (b Bundle) RuntimeVersion(ctx context.Context) string {
	program := "runc"
	if b.Dir != "" {
		program = filepath.Join(b.Dir, program)
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(first, "runc version ")
}
