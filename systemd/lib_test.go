package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// units are copies of ours, in which podd is a program that is there.
func units(t *testing.T) (service, socket string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"podd.service", "podd.socket"} {
		text, err := os.ReadFile("lib/systemd/system/" + name)
		if err != nil {
			t.Fatal(err)
		}
		there := strings.ReplaceAll(string(text), "ExecStart=/usr/bin/podd\n", "ExecStart=/bin/true\n")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(there), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "podd.service"), filepath.Join(dir, "podd.socket")
}

// analyze runs a program of Debian's package systemd, which `make deps` installs.
func analyze(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestUnitsAreSound(t *testing.T) {
	service, socket := units(t)
	// Its manual comes with the package.
	if out := analyze(t, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", service, socket); out != "" {
		t.Error(out)
	}
}

func TestSecurityIsNotWorse(t *testing.T) {
	recorded, err := os.ReadFile("security")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(recorded)), "\n")
	want, err := strconv.ParseFloat(lines[len(lines)-1], 64)
	if err != nil {
		t.Fatal(err)
	}
	service, _ := units(t)
	out := analyze(t, "systemd-analyze", "security", "--offline=true", "--no-pager", service)
	found := regexp.MustCompile(`Overall exposure level for podd\.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no score:\n%s", out)
	}
	if got, err := strconv.ParseFloat(found[1], 64); err != nil || got > want {
		t.Errorf("the exposure is %s and was %v: make it less, or record it in systemd/security and say why\n%s", found[1], want, out)
	}
}

// TestNothingIsWaitedForAtBoot: machines without a network or a right clock run
// pods too.
func TestNothingIsWaitedForAtBoot(t *testing.T) {
	text, err := os.ReadFile("lib/systemd/system/podd.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"network-online.target", "network.target", "time-sync.target", "time-set.target"} {
		if strings.Contains(string(text), target) {
			t.Errorf("podd.service has %s in it", target)
		}
	}
}

func TestGroupAndDirectories(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	analyze(t, "systemd-sysusers", "--root="+root, absolute(t, "lib/sysusers.d/podd.conf"))
	groups, err := os.ReadFile(filepath.Join(root, "etc/group"))
	if err != nil || !strings.HasPrefix(string(groups), "podd:") {
		t.Errorf("groups %q, %v", groups, err)
	}
	analyze(t, "systemd-tmpfiles", "--root="+root, "--create", absolute(t, "lib/tmpfiles.d/podd.conf"))
	for dir, mode := range map[string]os.FileMode{
		"run/podd": 0o711, "var/lib/podd": 0o711, "var/log/pods": 0o755, "etc/podd/manifests": 0o700,
	} {
		if st, err := os.Stat(filepath.Join(root, dir)); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", dir, st, err)
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
