package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/podd-io/podd/runtime/cgroup"
)

func TestCgroupRoots(t *testing.T) {
	for _, c := range []struct {
		what            string
		driver, root    string
		recorded, inUse string // inUse: the roots with pods, with spaces between
		systemd         bool
		want            string
		wrong           string
	}{
		{what: "auto on systemd and v2", driver: cgroupAuto, systemd: true, want: "podd.slice"},
		{what: "auto elsewhere", driver: cgroupAuto, want: "/podd"},
		{what: "cgroupfs on systemd", driver: cgroupFS, systemd: true, want: "/podd"},
		{what: "systemd elsewhere", driver: cgroupSystemd, wrong: "use cgroup-driver cgroupfs"},
		{what: "auto and a path", driver: cgroupAuto, root: "/mine", systemd: true, want: "/mine"},
		{what: "auto and a slice", driver: cgroupAuto, root: "mine.slice", systemd: true, want: "mine.slice"},
		{what: "a slice elsewhere", driver: cgroupAuto, root: "mine.slice", wrong: "needs systemd as PID 1"},
		{what: "the next start", driver: cgroupAuto, recorded: "podd.slice", inUse: "podd.slice", systemd: true, want: "podd.slice"},
		{what: "pods run that an earlier podd started", driver: cgroupAuto, inUse: "/podd", systemd: true, want: "/podd"},
		{what: "pods of another podd run", driver: cgroupAuto, root: "/mine", inUse: "/podd", want: "/mine"},
		{what: "auto stays where pods run", driver: cgroupAuto, recorded: "/podd", inUse: "/podd", systemd: true, want: "/podd"},
		{what: "auto moves when none runs", driver: cgroupAuto, recorded: "/podd", systemd: true, want: "podd.slice"},
		{what: "auto stays below a root that was given", driver: cgroupAuto, recorded: "/mine", inUse: "/mine", systemd: true, want: "/mine"},
		{what: "the same driver stays", driver: cgroupSystemd, recorded: "mine.slice", inUse: "mine.slice", systemd: true, want: "mine.slice"},
		{what: "another driver", driver: cgroupSystemd, recorded: "/podd", inUse: "/podd", systemd: true, wrong: "pods run below /podd, not below podd.slice"},
		{what: "another root", driver: cgroupAuto, root: "/mine", recorded: "/podd", inUse: "/podd /mine", wrong: "pods run below /podd, not below /mine"},
		{what: "another root when none runs", driver: cgroupAuto, root: "/mine", recorded: "/podd", want: "/mine"},
	} {
		got, err := cgroupChoice{
			driver: c.driver, root: c.root, recorded: c.recorded, withSystemd: c.systemd,
			inUse: func(root string) (bool, error) { return slices.Contains(strings.Fields(c.inUse), root), nil },
		}.choose()
		if got != c.want || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %q, %v; want %q, %q", c.what, got, err, c.want, c.wrong)
		}
	}
	_, err := cgroupChoice{driver: cgroupAuto, recorded: "/a", inUse: func(string) (bool, error) { return false, errors.New("no mountinfo") }}.choose()
	if err == nil || !strings.Contains(err.Error(), "look for pods below cgroup-root /a: no mountinfo") {
		t.Errorf("without knowing what runs: %v", err)
	}
}

func TestTheCgroupRootIsRecorded(t *testing.T) {
	cfg := defaultConfig()
	cfg.Root, cfg.CgroupDriver = t.TempDir(), cgroupFS
	for _, root := range []string{"/podd-none", "/podd-none", "/podd-other"} {
		cfg.CgroupRoot = root
		got, err := chooseCgroups(cfg, zap.NewNop())
		text, _ := os.ReadFile(filepath.Join(cfg.Root, "cgroup-root.choice"))
		if got != root || err != nil || string(text) != root+"\n" {
			t.Errorf("%q, %v; recorded %q", got, err, text)
		}
	}
	cfg.CgroupDriver, cfg.CgroupRoot = cgroupAuto, ""
	if got, err := chooseCgroups(cfg, zap.NewNop()); err != nil || strings.HasSuffix(got, ".slice") != cgroup.WithSystemd() {
		t.Errorf("auto: %q, %v", got, err)
	}
}
