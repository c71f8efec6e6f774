package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/sandbox"
	"github.com/podd-io/podd/runtime/sandbox/sandboxtest"
	"github.com/podd-io/podd/runtime/testbed"
)

// real is the real thing, on a containerd of its own.
type real struct {
	*sandbox.Sandboxes
	bed *testbed.Bed
}

func (r real) Seen(ctx context.Context, uid types.UID) ([]pod.Sandbox, error) {
	seen, _, _, err := r.bed.Client.Observe(ctx, uid, nil)
	return seen, err
}

func (r real) Kill(ctx context.Context, id string) error {
	ctx = r.bed.Client.Context(ctx)
	ctr, err := r.bed.Client.Containerd().LoadContainer(ctx, id)
	if err != nil {
		return err
	}
	task, err := ctr.Task(ctx, nil)
	if err != nil {
		return err
	}
	exited, err := task.Wait(ctx)
	if err != nil {
		return err
	}
	if err := syscall.Kill(int(task.Pid()), syscall.SIGKILL); err != nil {
		return err
	}
	return (<-exited).Error()
}

func (r real) Clear(uid types.UID) { r.bed.Forget(uid) }

func TestSuite(t *testing.T) {
	bed := testbed.New(t)
	sandboxtest.Run(t, real{bed.Sandboxes, bed})
}

func newPod(uid types.UID) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: uid}}
}

func create(t *testing.T, bed *testbed.Bed, p *corev1.Pod) (pid uint32) {
	t.Helper()
	cfg := pod.SandboxConfig{
		Pod: p, ID: pod.ID(p.UID, pod.SandboxName, 0), Hostname: "web", ResolvConf: "nameserver 192.0.2.1\n",
		HostNetwork: p.Spec.HostNetwork, Seccomp: true,
	}
	if err := bed.Sandboxes.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	ctx := bed.Client.Context(t.Context())
	ctr, err := bed.Client.Containerd().LoadContainer(ctx, cfg.ID)
	if err != nil {
		t.Fatal(err)
	}
	task, err := ctr.Task(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return task.Pid()
}

// inNetns reads a file as a process in another one's network namespace does.
func inNetns(t *testing.T, pid uint32, path string) string {
	t.Helper()
	out, err := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", pid), "cat", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// settled reads a process' status once the OCI runtime has become the program.
func settled(t *testing.T, pid uint32) string {
	t.Helper()
	for {
		status := read(t, fmt.Sprintf("/proc/%d/status", pid))
		if !strings.Contains(status, "Name:\trunc") || t.Context().Err() != nil {
			return status
		}
		runtime.Gosched()
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPause looks at the pause process from the host.
func TestPause(t *testing.T) {
	bed := testbed.New(t)
	p := newPod("11111111-0000-0000-0000-000000000000")
	defer bed.Forget(p.UID)
	pid := create(t, bed, p)

	status := settled(t, pid)
	for _, want := range []string{
		"Name:\tpause", "Uid:\t65535\t", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
		"NoNewPrivs:\t1", "Seccomp:\t2", "NSpid:\t" + fmt.Sprint(pid) + "\t1\n",
	} {
		if !strings.Contains(status, want) {
			t.Errorf("the pause process has no %q:\n%s", want, status)
		}
	}
	for _, ns := range []string{"ipc", "mnt", "net", "pid", "uts"} {
		own, _ := os.Readlink("/proc/self/ns/" + ns)
		if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns)); err != nil || its == own {
			t.Errorf("its %s namespace is %s (%v), the host's %s", ns, its, err, own)
		}
	}
	cgroup := read(t, fmt.Sprintf("/proc/%d/cgroup", pid))
	if want := bed.Config.CgroupRoot.Sandbox(p.UID, pod.ID(p.UID, pod.SandboxName, 0)); !strings.Contains(cgroup, want) {
		t.Errorf("it is not in cgroup %s:\n%s", want, cgroup)
	}
	etc := bed.Path("lib", "pods", string(p.UID), "etc")
	if got := read(t, filepath.Join(etc, "hostname")) + read(t, filepath.Join(etc, "resolv.conf")); got != "web\nnameserver 192.0.2.1\n" {
		t.Errorf("its files hold %q", got)
	}
	if _, err := os.Stat(bed.Path("log", "default_web_"+string(p.UID))); err != nil {
		t.Error(err)
	}
	if shims := bed.Shims(1); len(shims) != 1 {
		t.Errorf("it has %d shims", len(shims))
	}
}

// TestHostNamespaces: what a pod shares with the host is the host's.
func TestHostNamespaces(t *testing.T) {
	bed := testbed.New(t)
	p := newPod("22222222-0000-0000-0000-000000000000")
	p.Spec.HostNetwork, p.Spec.HostIPC, p.Spec.HostPID = true, true, true
	defer bed.Forget(p.UID)
	pid := create(t, bed, p)
	for _, ns := range []string{"ipc", "net", "pid", "uts"} {
		own, _ := os.Readlink("/proc/self/ns/" + ns)
		if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns)); err != nil || its != own {
			t.Errorf("its %s namespace is %s (%v), the host's %s", ns, its, err, own)
		}
	}
}

// TestSysctls: a pod's own, and the defaults that they stand before.
func TestSysctls(t *testing.T) {
	bed := testbed.New(t)
	p := newPod("33333333-0000-0000-0000-000000000000")
	p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{
		{Name: "net.ipv4.ip_local_port_range", Value: "40000 50000"},
		{Name: "net/ipv4/ip_unprivileged_port_start", Value: "80"},
	}}
	defer bed.Forget(p.UID)
	pid := create(t, bed, p)
	for name, want := range map[string]string{
		"ip_local_port_range": "40000\t50000", "ip_unprivileged_port_start": "80", "ping_group_range": "0\t2147483647",
	} {
		if got := inNetns(t, pid, "/proc/sys/net/ipv4/"+name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
