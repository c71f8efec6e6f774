package vm

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// addPackages puts podd's package there, as one.deb, and the same of a higher
// version as two.deb.
func addPackages(t *testing.T, dir string) {
	t.Helper()
	found, err := filepath.Glob("../../bin/deb/podd_*_" + runtime.GOARCH + ".deb")
	if err != nil || len(found) != 1 {
		t.Fatalf("podd's package: %q, %v: run `make deb`", found, err)
	}
	command(t, "cp", found[0], filepath.Join(dir, "one.deb"))
	tree := filepath.Join(t.TempDir(), "two")
	command(t, "dpkg-deb", "-R", found[0], tree)
	control := filepath.Join(tree, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Version: ") {
			lines[i] += ".1"
		}
	}
	if err := os.WriteFile(control, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, "dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, filepath.Join(dir, "two.deb"))
}

// TestInstalled is the life of an installed podd on one machine: installation and
// upgrade, a shutdown, a power cut while images are imported and pods started,
// and the end. What is looked at in each boot is in package integration.
func TestInstalled(t *testing.T) {
	m := newMachine(t, true)
	root := filepath.Join(t.TempDir(), "root.img")
	command(t, "cp", "--sparse=always", filepath.Join(m.system, "root.img"), root)
	step := func(what string, r run, want error) string {
		began := time.Now()
		r.root = root
		console, err := m.boot(t, r)
		if want == nil && outcome(console) != "0" || !errors.Is(err, want) {
			t.Fatalf("%s: QEMU: %v; the machine's console:\n%s", what, err, console)
		}
		t.Logf("%s: the machine is off after %s: %s", what, time.Since(began).Round(time.Second), passed(console))
		return console
	}
	step("installation", run{tests: "^TestInstalledFirst$", parameters: "podd.end=poweroff"}, nil)
	console := step("after the shutdown", run{tests: "^TestInstalledSecond$", cut: func(console string) (time.Duration, bool) {
		done := promises(console)
		return time.Second, strings.Contains(strings.Join(done, " "), "pod/cut-2") && len(done) >= 4
	}}, errCut)
	step("after the power cut", run{tests: "^TestInstalledThird$", parameters: "podd.kept=" + strings.Join(promises(console), ",")}, nil)
}
