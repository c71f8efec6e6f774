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

// Bundle is a set of programs that podd starts: containerd, its shim, an OCI
// runtime, CNI plugins.
type Bundle struct {
	// Dir holds them all; it is empty when they are taken from $PATH.
	Dir string
	// Containerd is the path of containerd.
	Containerd string
}

// FindBundle finds the programs: in dir and nowhere else if dir is not empty;
// else where podd's own executable was built or installed, and at last in $PATH.
func FindBundle(dir string) (Bundle, error) {
	dirs := []string{dir}
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return Bundle{}, fmt.Errorf("find the bundle beside podd: %w", err)
		}
		dirs = bundlesOf(self)
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

// bundlesOf are the places of the bundle that belongs to an executable: bin/bundle
// in a build's tree, and lib/podd/bundle of the prefix that holds an installed one,
// such as /usr.
func bundlesOf(executable string) []string {
	dir := filepath.Dir(executable)
	return []string{filepath.Join(dir, "bundle"), filepath.Join(filepath.Dir(dir), "lib", "podd", "bundle")}
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
