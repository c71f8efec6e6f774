package integration_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// debs are the packages of an architecture; make deb makes them before.
func debs(t *testing.T, arch string) string {
	t.Helper()
	found, _ := filepath.Glob("../bin/deb/podd_*_" + arch + ".deb")
	if len(found) != 1 {
		t.Fatalf("packages for %s: %q: run `make deb` (after rm -r bin/deb)", arch, found)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestThePackageHasEverything: units, programs, bundle, pages, with their modes.
func TestThePackageHasEverything(t *testing.T) {
	t.Parallel()
	deb, dir := debs(t, runtime.GOARCH), t.TempDir()
	output(t, "dpkg-deb", "-x", deb, dir)
	for path, mode := range map[string]os.FileMode{
		"usr/bin/podd": 0o755, "usr/bin/podctl": 0o755,
		"usr/lib/systemd/system/podd.service": 0o644, "usr/lib/systemd/system/podd.socket": 0o644,
		"usr/lib/systemd/logind.conf.d/podd.conf": 0o644, "usr/lib/sysusers.d/podd.conf": 0o644, "usr/lib/tmpfiles.d/podd.conf": 0o644,
		"usr/share/man/man8/podd.8.gz": 0o644, "usr/share/man/man1/podctl.1.gz": 0o644, "usr/share/man/man1/podctl-apply.1.gz": 0o644,
		"usr/share/bash-completion/completions/podctl": 0o644, "usr/share/zsh/vendor-completions/_podctl": 0o644,
		"usr/share/fish/vendor_completions.d/podctl.fish": 0o644,
		"usr/share/doc/podd/copyright":                    0o644, "usr/share/doc/podd/changelog.gz": 0o644, "usr/share/doc/podd/docs/operations.md": 0o644,
		"etc/podd/config.yaml": 0o644, "etc/podd/manifests": 0o700 | os.ModeDir,
	} {
		if stat, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		} else if stat.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", path, stat.Mode(), mode)
		}
	}
	for file, built := range map[string]string{"podd": "podd", "podctl": "podctl", "../lib/podd/bundle/containerd": "bundle/containerd", "../lib/podd/bundle/runc": "bundle/runc"} {
		got, err1 := os.ReadFile(filepath.Join(dir, "usr/bin", file))
		want, err2 := os.ReadFile(bin(t, built))
		if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the one that was built: %v, %v", file, err1, err2)
		}
	}
	if got := output(t, "dpkg-deb", "-f", deb, "Architecture"); got != runtime.GOARCH+"\n" {
		t.Errorf("it is for %s", got)
	}
	output(t, filepath.Join(dir, "usr/bin/podd"), "config", "check", filepath.Join(dir, "etc/podd/config.yaml"))
	if page := output(t, "man", "-l", filepath.Join(dir, "usr/share/man/man8/podd.8.gz")); !strings.Contains(page, "SIGNALS") || !strings.Contains(page, "/var/lib/podd") {
		t.Errorf("podd(8):\n%s", page)
	}
}

// TestThePackageIsReproducible: packed again, it is the same to the byte.
func TestThePackageIsReproducible(t *testing.T) {
	t.Parallel()
	deb := debs(t, runtime.GOARCH)
	first, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	output(t, "../packaging/pages.sh", "bin/pages-again")
	output(t, "../packaging/deb.sh", runtime.GOARCH, "bin", "bin/pages-again", "bin/deb-again")
	t.Cleanup(func() {
		_ = os.RemoveAll("../bin/deb-again")
		_ = os.RemoveAll("../bin/pages-again")
	})
	second, err := os.ReadFile(filepath.Join("../bin/deb-again", filepath.Base(deb)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("it has %d bytes, and the second time others, %d", len(first), len(second))
	}
}

// TestLintian: what packaging/lintian-overrides does not explain is no warning.
func TestLintian(t *testing.T) {
	t.Parallel()
	output(t, "lintian", "--fail-on", "error,warning", "--allow-root", debs(t, runtime.GOARCH))
}

// TestVersionsSort: what is newer for Go is newer for dpkg.
func TestVersionsSort(t *testing.T) {
	t.Parallel()
	var before string
	for _, v := range []string{
		"v0.0.0-20261128045817-30e66c1abcde", "v1.0.0-rc.1", "v1.0.0-rc.1.0.20261128045817-30e66c1abcde", "v1.0.0-rc.2", "v1.0.0",
		"v1.0.0+dirty", "v1.0.1-0.20261128045817-30e66c1abcde", "v1.0.1-0.20261129000000-000000000000", "v1.0.1-rc.1", "v1.0.1", "v1.10.0",
	} {
		version := strings.TrimSpace(output(t, "../packaging/version.sh", v))
		if before != "" {
			output(t, "dpkg", "--compare-versions", before, "lt", version)
		}
		before = version
	}
	if out, err := exec.Command("../packaging/version.sh", "unknown").CombinedOutput(); err == nil {
		t.Errorf("a version of %s", out)
	}
}

// host is a system to install into: this one, with all changes elsewhere. Its
// systemctl writes down what it is told.
type host struct {
	t    *testing.T
	root string
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{t: t, root: filepath.Join(dir, "root")}
	mount := func(target string, args ...string) {
		output(t, "mount", append(args, target)...)
		t.Cleanup(func() { output(t, "umount", target) })
	}
	if err := os.Mkdir(h.root, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(dir, "-t", "tmpfs", "tmpfs")
	for _, name := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount(h.root, "-t", "overlay", "-o", "lowerdir=/,upperdir="+dir+"/upper,workdir="+dir+"/work", "overlay")
	mount(h.root+"/proc", "-t", "proc", "proc")
	mount(h.root+"/dev", "--bind", "/dev")
	_ = os.Remove(h.root + "/usr/sbin/policy-rc.d") // an image's: it forbids services
	output(t, "mv", h.root+"/usr/bin/systemctl", h.root+"/usr/bin/systemctl.real")
	h.write("usr/bin/systemctl", `#!/bin/sh
case $1 in --root=*) exec systemctl.real "$@" ;; esac
echo "$*" >>/told
[ "$2" != is-enabled ] || echo enabled
`)
	if err := os.MkdirAll(h.root+"/run/systemd/system", 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) write(path, text string) {
	h.t.Helper()
	path = filepath.Join(h.root, path)
	_ = os.Remove(path) // it may be a link
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) read(path string) string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.root, path))
	if err != nil {
		h.t.Error(err)
	}
	return string(text)
}

// dpkg runs it and returns what systemd was told to do with podd meanwhile.
func (h *host) dpkg(args ...string) []string {
	h.t.Helper()
	h.write("told", "")
	cmd := exec.Command("chroot", append([]string{h.root, "dpkg", "--force-confold"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("dpkg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	var told []string
	for line := range strings.Lines(h.read("told")) {
		for _, verb := range []string{"start", "stop", "restart"} {
			if words := strings.Fields(line); slices.Contains(words, verb) {
				told = append(told, strings.Join(words[slices.Index(words, verb):], " "))
			}
		}
	}
	return told
}

func (h *host) enabled(unit string) bool {
	_, err := os.Lstat(filepath.Join(h.root, "etc/systemd/system", unit))
	return err == nil
}

// newer is the same package with a higher version and another default
// configuration.
func (h *host) newer(deb string) string {
	h.t.Helper()
	tree, path := h.t.TempDir(), filepath.Join(h.root, "newer.deb")
	output(h.t, "dpkg-deb", "-R", deb, tree)
	output(h.t, "sed", "-i", "s/^Version: /Version: 9999:/", tree+"/DEBIAN/control")
	output(h.t, "sh", "-c", "echo '# newer' >>"+tree+"/etc/podd/config.yaml")
	output(h.t, "dpkg-deb", "-Znone", "-b", tree, path)
	return "/newer.deb"
}

func TestThePackageFromInstallationToPurge(t *testing.T) {
	t.Parallel()
	h, deb := newHost(t), debs(t, runtime.GOARCH)
	output(t, "cp", deb, h.root+"/podd.deb")
	told := h.dpkg("--install", "/podd.deb")
	if diff := cmp.Diff([]string{"start podd.socket podd.service"}, told); diff != "" {
		t.Errorf("at the installation: %s", diff)
	}
	if !h.enabled("multi-user.target.wants/podd.service") || !h.enabled("sockets.target.wants/podd.socket") {
		t.Error("the units are not enabled")
	}
	if !strings.Contains(h.read("etc/group"), "\npodd:") {
		t.Error("there is no group podd")
	}
	for _, dir := range []string{"var/lib/podd", "run/podd"} {
		if stat, err := os.Stat(filepath.Join(h.root, dir)); err != nil || stat.Mode().Perm() != 0o711 {
			t.Errorf("%s: %v, %v", dir, stat, err)
		}
	}
	output(t, "chroot", h.root, "podd", "config", "check")

	changed := "log-level: debug # mine\n"
	if err := os.WriteFile(h.root+"/etc/podd/config.yaml", []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	told = h.dpkg("--install", h.newer(deb))
	if diff := cmp.Diff([]string{"restart podd.service"}, told); diff != "" {
		t.Errorf("an upgrade has to restart podd and nothing else: %s", diff)
	}
	if got := h.read("etc/podd/config.yaml"); got != changed {
		t.Errorf("the upgrade made the changed configuration:\n%s", got)
	}
	h.removed()
}

// removed removes the package, and then all there is of it.
func (h *host) removed() {
	h.t.Helper()
	const pod = "var/lib/podd/pods/3d1c8f6e"
	output(h.t, "mkdir", "-p", h.root+"/"+pod+"/volumes", h.root+"/var/log/pods/default_web_3d1c8f6e", h.root+"/var/log/pods/kube-system_other_77", h.root+"/run/podd/netns")
	told := h.dpkg("--remove", "podd")
	if diff := cmp.Diff([]string{"stop podd.socket podd.service", "stop podd.slice"}, told); diff != "" {
		h.t.Errorf("at the removal: %s", diff)
	}
	h.read("etc/podd/config.yaml")
	if _, err := os.Stat(filepath.Join(h.root, pod)); err != nil {
		h.t.Errorf("the removal took state: %v", err)
	}
	h.dpkg("--purge", "podd")
	for _, path := range []string{
		"var/lib/podd", "run/podd", "etc/podd", "var/log/pods/default_web_3d1c8f6e", "usr/lib/podd", "usr/share/doc/podd",
		"etc/systemd/system/multi-user.target.wants/podd.service", "etc/systemd/system/podd.service", "var/lib/dpkg/info/podd.list",
	} {
		if _, err := os.Lstat(filepath.Join(h.root, path)); err == nil {
			h.t.Errorf("%s is left after the purge", path)
		}
	}
	if _, err := os.Stat(h.root + "/var/log/pods/kube-system_other_77"); err != nil {
		h.t.Errorf("the purge took another agent's logs: %v", err)
	}
}
