//go:build vm

package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/runtime"
)

// The tests of this file are one story in several boots of a machine whose disk
// lasts: podd's package is installed, upgraded, used over a shutdown and a power
// cut, and purged. integration/vm boots.

// packages is where the disk with the tests has them: one.deb, and the same of a
// higher version, two.deb.
const packages = "/payload/deb"

// evidence is what pods write to, on the machine's disk.
const evidence = "/var/lib/evidence"

// installed is the podd of the package, with its defaults.
type installed struct{ *node }

func newInstalled(t *testing.T) installed {
	return installed{&node{t: t, dir: "/run/podd", slice: "podd.slice"}}
}

// story are pods that live through it all. Those who end write down when.
const story = `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: main
    image: nginx:1.14.2
    resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 250m, memory: 32Mi}}
    readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 10}
    livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 10}
---
apiVersion: v1
kind: Pod
metadata: {name: stumbles}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: evidence, hostPath: {path: /var/lib/evidence, type: DirectoryOrCreate}}]
  containers:
  - name: main
    image: busybox:1.36
    volumeMounts: [{name: evidence, mountPath: /evidence}]
    command: ["sh", "-c", "test -e /evidence/stumbled || { touch /evidence/stumbled; exit 1; }; exec sleep 100000"]
---
apiVersion: v1
kind: Pod
metadata: {name: graceful}
spec:
  terminationGracePeriodSeconds: 60
  volumes: [{name: evidence, hostPath: {path: /var/lib/evidence, type: DirectoryOrCreate}}]
  containers:
  - name: main
    image: busybox:1.36
    volumeMounts: [{name: evidence, mountPath: /evidence}]
    lifecycle: {preStop: {exec: {command: ["sh", "-c", "echo graceful preStop >> /evidence/ends; sleep 3"]}}}
    command: ["sh", "-c", "trap 'echo graceful TERM >> /evidence/ends; sync; exit 0' TERM; sleep 100000 & wait"]
---
apiVersion: v1
kind: Pod
metadata: {name: critical, namespace: kube-system}
spec:
  priorityClassName: system-node-critical
  terminationGracePeriodSeconds: 60
  volumes: [{name: evidence, hostPath: {path: /var/lib/evidence, type: DirectoryOrCreate}}]
  containers:
  - name: main
    image: busybox:1.36
    volumeMounts: [{name: evidence, mountPath: /evidence}]
    command: ["sh", "-c", "trap 'echo critical TERM >> /evidence/ends; sync; exit 0' TERM; sleep 100000 & wait"]
`

// lives are all containers, with their ids and restart counts.
func (i installed) lives() string {
	i.t.Helper()
	return i.podctl("get", "pods", "-A", "-o", `jsonpath={range .items[*]}{.metadata.name} {range .status.containerStatuses[*]}{.containerID} {.restartCount} {.state.running.startedAt}{end}{"\n"}{end}`)
}

// show is a property of podd's unit.
func (i installed) show(property string) string {
	i.t.Helper()
	return systemctl(i.t, "show", "--property="+property, "--value", "podd.service")
}

// storyReady waits until all of the story's pods are.
func (i installed) storyReady() {
	i.t.Helper()
	for _, args := range [][]string{{"pod/web", "pod/stumbles", "pod/graceful"}, {"-n", "kube-system", "pod/critical"}} {
		if out, err := i.try(append([]string{"wait", "--for=condition=Ready", fmt.Sprint("--timeout=", time.Minute*slowness)}, args...)...); err != nil {
			i.t.Fatalf("%v: %v\n%s\n%s", args, err, out, i.podctl("get", "pods", "-A"))
		}
	}
}

// harmless does something to podd. Afterwards it is active as another process,
// and no container noticed.
func (i installed) harmless(t *testing.T, what string, do func()) {
	t.Run(what, func(t *testing.T) {
		i := installed{&node{t: t, dir: i.dir, slice: i.slice}}
		before, main := i.lives(), i.show("MainPID")
		do()
		i.eventually(2*time.Minute, "podd is back", func() error {
			if now, state := i.show("MainPID"), i.show("ActiveState"); now == main || state != "active" {
				return fmt.Errorf("its main process is %s and was %s; it is %s", now, main, state)
			}
			return nil
		})
		i.storyReady()
		if now := i.lives(); now != before {
			t.Errorf("before:\n%s\nnow:\n%s", before, now)
		}
	})
}

func dpkg(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("dpkg", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("dpkg %s:\n%s", strings.Join(args, " "), out)
}

// dropIn changes podd's unit, for this boot.
func dropIn(t *testing.T, text string) {
	t.Helper()
	dir := "/run/systemd/system/podd.service.d"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "test.conf"), []byte("[Service]\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	systemctl(t, "daemon-reload")
}

// running are the processes whose command line matches.
func running(pattern *regexp.Regexp) []int {
	var pids []int
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil || !pattern.Match(bytes.ReplaceAll(text, []byte{0}, []byte{' '})) {
			continue // ended meanwhile, or another
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // it is a number
		pids = append(pids, pid)
	}
	return pids
}

func (i installed) journal(args ...string) string {
	i.t.Helper()
	out, err := exec.Command("journalctl", append([]string{"--no-pager", "-u", "podd.service"}, args...)...).Output()
	if err != nil {
		i.t.Fatalf("journalctl: %v", err)
	}
	return string(out)
}

// journalIfFailed prints podd's journal of this boot.
func (i installed) journalIfFailed() {
	if i.t.Failed() {
		i.t.Logf("podd's journal:\n%s", i.journal())
	}
}

// TestInstalledFirst is the first boot: from the installation on.
func TestInstalledFirst(t *testing.T) {
	i := newInstalled(t)
	defer i.journalIfFailed()
	if err := os.MkdirAll("/var/log/journal", 0o755); err != nil { // it is to last
		t.Fatal(err)
	}
	systemctl(t, "restart", "systemd-journald")
	dpkg(t, "-i", packages+"/one.deb")
	if state := i.show("ActiveState") + " " + i.show("SubState"); state != "active running" {
		t.Fatalf("installed, podd is %s", state)
	}
	i.answers()
	for _, image := range images(t) {
		i.podctl("images", "import", image)
	}
	i.apply(story)
	i.storyReady()
	i.limited()

	i.harmless(t, "restart", func() { systemctl(t, "restart", "podd") })
	i.harmless(t, "upgrade", func() { dpkg(t, "-i", packages+"/two.deb") })
	i.watched(t)
	i.harmless(t, "socket", func() {
		systemctl(t, "stop", "podd.service")
		i.podctl("get", "pods")
	})
	i.reloaded(t)
	if _, err := os.Stat(evidence + "/ends"); !os.IsNotExist(err) {
		t.Errorf("a pod has ended: %v", err)
	}
}

// limited: the defaults are systemd's driver, and limits hold on the pod's slice.
func (i installed) limited() {
	i.t.Helper()
	slice := runtime.CgroupRoot("podd.slice").Pod(types.UID(i.get("web", ".metadata.uid")))
	for file, want := range map[string]string{"memory.max": "67108864", "cpu.max": "50000 100000", "cpu.weight": "35"} {
		text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", slice, file))
		if got := strings.TrimSpace(string(text)); err != nil || got != want {
			i.t.Errorf("%s/%s is %q, %v; want %q", slice, file, got, err, want)
		}
	}
}

// watched: a podd that hangs is ended by systemd's watchdog, one that waits for
// containerd is not.
func (i installed) watched(t *testing.T) {
	i.harmless(t, "a short watchdog", func() {
		dropIn(t, "WatchdogSec=30s\nTimeoutAbortSec=2s\n")
		systemctl(t, "restart", "podd")
	})
	i.harmless(t, "podd hangs", func() {
		systemctl(t, "kill", "--kill-whom=main", "--signal=STOP", "podd.service")
	})
	if log := i.journal("-b"); !strings.Contains(log, "Watchdog timeout") {
		t.Errorf("it was not the watchdog:\n%s", log)
	}
	t.Run("containerd hangs for a minute", func(t *testing.T) {
		before, main := i.lives(), i.show("MainPID")
		pids := running(regexp.MustCompile(`^\S*containerd --config`))
		if len(pids) != 1 {
			t.Fatalf("containerd's processes: %v", pids)
		}
		if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)                    // the watchdog's time is systemd's
		_ = syscall.Kill(pids[0], syscall.SIGCONT) // podd may have ended it
		if now := i.show("MainPID"); now != main {
			t.Errorf("podd's main process was %s and is %s", main, now)
		}
		i.eventually(time.Minute, "podd works again", func() error {
			_, err := i.try("version")
			return err
		})
		i.storyReady()
		if now := i.lives(); now != before {
			t.Errorf("before:\n%s\nnow:\n%s", before, now)
		}
	})
}

// reloaded: a reload says what it could not take over.
func (i installed) reloaded(t *testing.T) {
	t.Run("reload", func(t *testing.T) {
		const config = "/etc/podd/config.yaml"
		text, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		main := i.show("MainPID")
		for _, change := range []struct{ text, status string }{
			{string(text) + "\nmax-pods: 77\nlog-level: debug\n", "max-pods"},
			{string(text), ""},
		} {
			if err := os.WriteFile(config, []byte(change.text), 0o644); err != nil {
				t.Fatal(err)
			}
			systemctl(t, "reload", "podd")
			i.eventually(20*time.Second, "the status tells of the reload", func() error {
				if status := i.show("StatusText"); !strings.Contains(status, change.status) || change.status == "" && strings.Contains(status, "max-pods") {
					return fmt.Errorf("%q", status)
				}
				return nil
			})
		}
		if now := i.show("MainPID"); now != main {
			t.Errorf("podd's main process was %s and is %s", main, now)
		}
	})
}

// TestInstalledSecond is the boot after an orderly shutdown. Then images are
// imported and pods started until the power is cut.
func TestInstalledSecond(t *testing.T) {
	i := newInstalled(t)
	defer i.journalIfFailed()
	i.answers()
	i.storyReady()
	i.limited()
	ends, err := os.ReadFile(evidence + "/ends")
	if want := "graceful preStop\ngraceful TERM\ncritical TERM\n"; string(ends) != want || err != nil {
		t.Errorf("at the shutdown pods ended as %q, %v; want %q\npodd's journal of that boot:\n%s", ends, err, want, i.journal("-b", "-1"))
	}
	counts := i.podctl("get", "pod", "web", "stumbles", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}")
	if counts != "1 2" { // the boot, and what was before
		t.Errorf("the restart counts of web and of stumbles are %s", counts)
	}
	if t.Failed() {
		return
	}
	i.workUntilCut()
}

// workUntilCut says on the console what was accepted.
func (i installed) workUntilCut() {
	seed := uint64(time.Now().UnixNano())
	keep := func(name string) { fmt.Println("\n" + promise + name) }
	var work sync.WaitGroup
	work.Go(func() {
		for n := seed; ; n++ {
			name := fmt.Sprintf("imported.example/bulky:%d", n)
			var out strings.Builder
			if err := bulky(i.t, n).Write(&out, name); err != nil {
				panic(err)
			}
			if _, err := i.tryInput(out.String(), "images", "import", "-"); err == nil {
				keep(name)
			}
		}
	})
	work.Go(func() {
		for n := 0; n < 20; n++ {
			name := fmt.Sprintf("cut-%d", n)
			if _, err := i.tryInput(shell(name, "exec sleep 100000"), "apply", "-f", "-"); err == nil {
				keep("pod/" + name)
			}
		}
	})
	work.Wait()
}

// TestInstalledThird is the boot after the power cut, and the end of podd.
func TestInstalledThird(t *testing.T) {
	i := newInstalled(t)
	defer i.journalIfFailed()
	i.answers()
	i.storyReady()
	promised := kept(t)
	here := i.podctl("images", "ls")
	for _, name := range promised {
		pod, isPod := strings.CutPrefix(name, "pod/")
		if isPod {
			i.ready(pod)
		} else if !strings.Contains(here, name+" ") {
			t.Errorf("image %s is not there:\n%s", name, here)
		}
	}
	if out, err := i.try("images", "verify"); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	ends, _ := os.ReadFile(evidence + "/ends")
	if got := strings.Count(string(ends), "TERM"); got != 2 {
		t.Errorf("pods were asked to end at a power cut: %q", ends)
	}
	i.consistent()
	if t.Failed() {
		return
	}
	i.purged()
}

// consistent: every process, cgroup and unit belongs to a pod that is known.
func (i installed) consistent() {
	i.t.Helper()
	i.eventually(90*time.Second, "nothing of unknown pods is left", func() error {
		uids := strings.Fields(i.podctl("get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}"))
		for _, pattern := range []string{"/run/podd/netns/*", "/run/podd/pods/*", "/var/lib/podd/pods/*"} {
			dirs, _ := filepath.Glob(pattern)
			for _, dir := range dirs {
				if !slices.Contains(uids, filepath.Base(dir)) {
					return fmt.Errorf("%s is of no pod", dir)
				}
			}
		}
		entries, err := os.ReadDir("/sys/fs/cgroup/podd.slice")
		for _, e := range entries {
			if uid, ok := runtime.CgroupRoot("podd.slice").UID(e.Name()); ok && !slices.Contains(uids, string(uid)) {
				return fmt.Errorf("%s is of no pod", e.Name())
			}
		}
		return err
	})
}

// purged: the package goes, with pods that run, and nothing is left of podd.
func (i installed) purged() {
	dpkg(i.t, "--purge", "podd")
	for _, pattern := range []string{
		"/var/lib/podd", "/run/podd", "/etc/podd", "/usr/lib/podd", "/usr/bin/pod*", "/sys/fs/cgroup/podd*",
		"/sys/fs/cgroup/system.slice/podd*", "/etc/systemd/system/*/podd*", "/usr/lib/systemd/system/podd*",
	} {
		left, _ := filepath.Glob(pattern)
		for _, path := range left {
			i.t.Errorf("left: %s", path)
		}
	}
	if pids := running(regexp.MustCompile(`containerd|^/pause|^\S*/podd\b|sleep 100000`)); len(pids) > 0 {
		i.t.Errorf("processes are left: %v", pids)
	}
	for what, command := range map[string]string{
		"units":  "systemctl list-units --all --plain --no-legend 'podd*' | grep -v podd-test",
		"mounts": "grep /podd/ /proc/self/mountinfo",
		"links":  "ip -brief link | grep podd",
		"rules":  "nft list ruleset | grep podd",
	} {
		out, _ := exec.Command("sh", "-c", command).Output() // grep that finds nothing fails
		if len(out) > 0 {
			i.t.Errorf("%s are left:\n%s", what, out)
		}
	}
}
