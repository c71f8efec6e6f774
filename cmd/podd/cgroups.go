package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.uber.org/zap"

	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/cgroup"
)

// The values of cgroup-driver.
const (
	cgroupAuto    = "auto"
	cgroupSystemd = "systemd"
	cgroupFS      = "cgroupfs"
)

// The values of cgroup-root where it is not given, by driver.
const (
	defaultCgroup = "/podd"
	defaultSlice  = "podd.slice"
)

// sliceName: in the names of systemd's slices a dash leads a level down.
var sliceName = regexp.MustCompile(`^[A-Za-z0-9:_.]+(-[A-Za-z0-9:_.]+)*\.slice$`)

// checkCgroupRoot: its form says which driver it is for.
func (c Config) checkCgroupRoot() error {
	root := c.CgroupRoot
	switch {
	case root == "":
		return nil
	case runtime.CgroupRoot(root).Systemd() && c.CgroupDriver == cgroupFS:
		return fmt.Errorf("%q is a slice of systemd's, and cgroup-driver is %s: a path such as %s is meant?", root, cgroupFS, defaultCgroup)
	case runtime.CgroupRoot(root).Systemd():
		if !sliceName.MatchString(root) || strings.Contains(root, "-pod") {
			return fmt.Errorf("%q is not the name of a slice for pods, such as %s", root, defaultSlice)
		}
		return nil
	case c.CgroupDriver == cgroupSystemd:
		return fmt.Errorf("%q is not the name of a slice, such as %s, which cgroup-driver %s needs", root, defaultSlice, cgroupSystemd)
	case !strings.HasPrefix(root, "/") || root == "/" || filepath.Clean(root) != root:
		return fmt.Errorf("%q is neither the path of a cgroup, such as %s, nor a slice, such as %s", root, defaultCgroup, defaultSlice)
	}
	return nil
}

// cgroupChoice is what the choice of the pods' cgroups depends on.
type cgroupChoice struct {
	driver, root string // as configured and checked; the root may be empty
	recorded     string // the root that was chosen last; empty for none
	withSystemd  bool
	// inUse tells whether there are pods below a root.
	inUse func(root string) (bool, error)
}

// choose returns the root of the pods' cgroups, whose form says the driver. What
// runs below the root that was chosen before holds it: podd would lose sight of
// its cgroups.
func (c cgroupChoice) choose() (string, error) {
	wanted, before := c.wanted(), c.recorded
	if before == "" && c.root == "" {
		before = defaultCgroup // of a podd that recorded none
	}
	if before != "" && before != wanted {
		held, err := c.inUse(before)
		switch {
		case err != nil:
			return "", fmt.Errorf("look for pods below cgroup-root %s: %w", before, err)
		case held && c.root == "" && (c.driver == cgroupAuto || runtime.CgroupRoot(before).Systemd() == (c.driver == cgroupSystemd)):
			return before, nil
		case held:
			return "", fmt.Errorf("cgroup-root: pods run below %s, not below %s: delete them first, or restart the host with podd configured anew", before, wanted)
		}
	}
	if runtime.CgroupRoot(wanted).Systemd() && !c.withSystemd {
		return "", fmt.Errorf("cgroup-driver: %s needs systemd as PID 1 and cgroup v2, and this host has not both: use cgroup-driver %s", cgroupSystemd, cgroupFS)
	}
	return wanted, nil
}

// wanted is what is chosen where nothing runs yet.
func (c cgroupChoice) wanted() string {
	switch {
	case c.root != "":
		return c.root
	case c.driver == cgroupSystemd, c.driver == cgroupAuto && c.withSystemd:
		return defaultSlice
	}
	return defaultCgroup
}

// chooseCgroups returns the root of the pods' cgroups, and records it if it is
// another one than before.
func chooseCgroups(cfg Config, log *zap.Logger) (string, error) {
	file := filepath.Join(cfg.Root, "cgroup-root.choice")
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read which cgroups to use: %w", err)
	}
	recorded := strings.TrimSpace(string(text))
	root, err := cgroupChoice{
		driver: cfg.CgroupDriver, root: cfg.CgroupRoot, recorded: recorded, withSystemd: cgroup.WithSystemd(),
		inUse: func(root string) (bool, error) {
			pods, err := cgroup.New(runtime.CgroupRoot(root), nil, log).Pods()
			return len(pods) > 0, err
		},
	}.choose()
	if err != nil || root == recorded {
		return root, err
	}
	log.Info("the pods' cgroups are at a new place", zap.String("cgroup-root", root), zap.Bool("by systemd", runtime.CgroupRoot(root).Systemd()))
	if err := os.WriteFile(file, []byte(root+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("record which cgroups to use: %w", err)
	}
	return root, nil
}
