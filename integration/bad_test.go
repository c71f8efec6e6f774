package integration_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBadManifestsAreRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n"
	const ctr = "  containers: [{name: c, image: busybox}]\n"
	for name, c := range map[string]struct{ manifest, want string }{
		"unknown key":        {head + "  contaners: []\n" + ctr, `unknown field "spec.contaners"`},
		"repeated key":       {head + ctr + ctr, "containers"},
		"no containers":      {head + "  restartPolicy: Always\n", "spec.containers"},
		"impossible value":   {head + "  restartPolicy: Sometimes\n" + ctr, "spec.restartPolicy"},
		"not supported":      {head + "  containers: [{name: c, image: busybox, volumeDevices: [{name: v, devicePath: /d}]}]\n", "not supported yet: spec.containers[0].volumeDevices"},
		"unsupported volume": {head + "  volumes: [{name: v, nfs: {server: s, path: /}}]\n" + ctr, "not supported yet: spec.volumes[0].nfs"},
		"unknown kind":       {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n", "Deployment"},
		"service":            {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 1}]}\n", "podd-kube"},
		"not YAML":           {"a: [b\n", "line 1"},
		"unknown volume":     {head + "  containers: [{name: c, image: busybox, volumeMounts: [{name: nope, mountPath: /x}]}]\n", "volumeMounts[0].name"},
	} {
		if out := n.refuse(c.manifest); !strings.Contains(out, c.want) {
			t.Errorf("%s: no %q in: %s", name, c.want, out)
		}
	}
	// All or nothing: the good one of two is not stored either.
	n.refuse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n---\n" + head + "  restartPolicy: Sometimes\n" + ctr)
	if out, err := n.try("get", "configmap", "good"); err == nil {
		t.Errorf("half a set was stored:\n%s", out)
	}
	if out := n.apply(head + "  nodeSelector: {disk: ssd}\n  containers: [{name: c, image: busybox:1.36, command: [sleep, '9']}]\n"); !strings.Contains(out, "Warning: spec.nodeSelector") {
		t.Errorf("no warning in: %s", out)
	}
}

func TestAnImageThatIsNotThere(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(`
apiVersion: v1
kind: Pod
metadata: {name: never}
spec: {containers: [{name: c, image: "example.invalid/nothing:1", imagePullPolicy: Never}]}
---
apiVersion: v1
kind: Pod
metadata: {name: absent}
spec: {containers: [{name: c, image: "127.0.0.1:1/nothing:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: nonsense}
spec: {containers: [{name: c, image: "Not An Image"}]}
`)
	for pod, want := range map[string]string{"never": "ErrImageNeverPull", "absent": "ImagePull", "nonsense": "InvalidImageName"} {
		n.eventually(30*time.Second, pod+" says why it waits", func() error {
			if out := n.podctl("get", "pod", pod); !strings.Contains(out, want) {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
	}
	if out := n.podctl("describe", "pod", "absent"); !strings.Contains(out, "connection refused") {
		t.Errorf("it does not say what the registry answered:\n%s", out)
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: lost}\nspec: {restartPolicy: Never, containers: [{name: c, image: busybox:1.36, command: [no-such-program]}]}\n")
	n.phase("lost", "Failed")
	if out := n.get("lost", ".status.containerStatuses[0].state.terminated"); !strings.Contains(out, "StartError") || !strings.Contains(out, "no-such-program") {
		t.Errorf("terminated: %s", out)
	}
}

func TestAFullDisk(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("before", "sleep 1000"))
	n.ready("before")
	n.kill()
	// podd's files move onto a file system that then is filled.
	small := n.path("small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(small, syscall.MNT_DETACH)
	if out, err := exec.Command("cp", "-a", n.path("lib/podd.db"), small).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	if err := os.Remove(n.path("lib/podd.db")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(small+"/podd.db", n.path("lib/podd.db")); err != nil {
		t.Fatal(err)
	}
	n.start()
	ballast := small + "/ballast"
	_ = os.WriteFile(ballast, make([]byte, 4<<20), 0o600) // as much as there is room for
	big := strings.Repeat("x", 900<<10)
	out, err := n.tryInput("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\ndata: {a: "+big+"}\n", "apply", "-f", "-")
	if err == nil || !strings.Contains(out, "no space left on device") {
		t.Errorf("a write to a full disk: %v\n%.300s", err, out)
	}
	if out := n.podctl("get", "pod", "before"); !strings.Contains(out, "Running") {
		t.Errorf("what ran does not: %s", out)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	n.apply(shell("after", "sleep 1000"))
	n.ready("after")
	n.podctl("delete", "pods", "--all")
	n.stop()
	if out, err := exec.Command("sh", "-c", "rm "+n.path("lib/podd.db")+" && cp -a "+small+"/podd.db "+n.path("lib/")).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	n.start()
}

func TestAClientGoesAwayMidstream(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(counting)
	n.ready("counts")
	for _, args := range [][]string{
		{"logs", "-f", "counts", "-c", "main"},
		{"get", "pods", "-w"},
		{"exec", "counts", "-c", "main", "--", "sleep", "300"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		cmd := exec.CommandContext(ctx, bin(t, "podctl"), append([]string{"--address", n.address()}, args...)...)
		_ = cmd.Run() // killed midway
		cancel()
	}
	archive := exec.Command("sh", "-c", "head -c 500000 "+images(t)[0]+" | "+bin(t, "podctl")+" --address "+n.address()+" images import -")
	if out, err := archive.CombinedOutput(); err == nil {
		t.Errorf("half an archive was imported:\n%s", out)
	}
	n.eventually(20*time.Second, "the exec'd process is gone", func() error {
		if out := n.podctl("exec", "counts", "-c", "main", "--", "ps"); strings.Contains(out, "sleep 300") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	n.unharmed(n.pid("counts", "main"))
}
