package stats_test

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/stats"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/usage-*.json anew")

// TestReading holds all that is read of a pod against a file, which the tests of
// package metrics make pages of.
func TestReading(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			m := newMachine(t, version)
			m.open("/dev/null", "pipe:[1]", "socket:[2]", "socket:[3]")
			web := m.pod(version, uid, "web", "nginx")
			web.Spec.Volumes = []corev1.Volume{
				{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "ram", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
				{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}},
			}
			m.write("volumes/"+string(uid)+"/cache/a", strings.Repeat("x", 10_000))
			m.write("volumes/"+string(uid)+"/ram/a", "x")
			m.write("logs/web/nginx/0.log", strings.Repeat("x", 5000))
			host := m.pod(version, "22222222-2222-3333-4444-555555555555", "host")
			host.Spec.HostNetwork = true
			gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "gone", UID: "3"}}

			r := m.reader()
			got, err := r.Read(t.Context(), []*corev1.Pod{web, gone, host}, pod.UsageAll)
			if err != nil {
				t.Fatal(err)
			}
			checkMeasured(t, got)
			fix(&got)
			golden(t, "testdata/usage-"+version+".json", got)
		})
	}
}

// checkMeasured looks at what differs from one file system to the next.
func checkMeasured(t *testing.T, u pod.Usage) {
	t.Helper()
	web := u.Pods[0]
	if len(web.Volumes) != 2 || web.Volumes[0].Used < 10_000 || web.Volumes[0].InodesUsed != 2 || web.Volumes[0].Memory || !web.Volumes[1].Memory {
		t.Errorf("volumes %+v", web.Volumes)
	}
	logs := web.Containers[0].Logs
	if logs == nil || logs.Used < 5000 || logs.Capacity < logs.Used || logs.Inodes == 0 || logs.Device == "" || time.Since(logs.Time) > time.Minute {
		t.Errorf("logs %+v", logs)
	}
	if u.Node.Root == nil || u.Node.Root.Used == 0 || u.Node.Images == nil || u.Node.Images.Capacity == 0 {
		t.Errorf("file systems %+v %+v", u.Node.Root, u.Node.Images)
	}
}

// fix makes what differs from run to run the same.
func fix(u *pod.Usage) {
	at := time.Unix(1_700_000_100, 0).UTC()
	disk := func(d *pod.DiskUsage) {
		if d != nil {
			*d = pod.DiskUsage{Time: at, Device: "/dev/vda", Used: 12_288, InodesUsed: 2, Capacity: 1 << 30, Available: 1 << 29, Inodes: 1 << 16, InodesFree: 1 << 15}
		}
	}
	group := func(g *pod.CgroupUsage) { g.Time = at }
	container := func(c *pod.ContainerUsage) {
		group(&c.CgroupUsage)
		disk(c.Logs)
		c.Layer = &pod.DiskUsage{}
		disk(c.Layer)
		c.Started = c.Started.UTC()
	}
	group(&u.Node.CgroupUsage)
	group(u.Node.Pods)
	disk(u.Node.Root)
	disk(u.Node.Images)
	u.Node.Booted = at.Add(-24 * time.Hour)
	u.Node.Machine.ID, u.Node.Machine.SystemUUID, u.Node.Machine.OS = "0123456789abcdef", "uuid", "Debian GNU/Linux 12 (bookworm)"
	for i := range u.Pods {
		p := &u.Pods[i]
		group(&p.CgroupUsage)
		p.Sandbox.Started = at.Add(-time.Hour)
		container(p.Sandbox)
		p.Sandbox.Logs = nil
		for j := range p.Containers {
			container(&p.Containers[j])
		}
		for j := range p.Volumes {
			disk(&p.Volumes[j].DiskUsage)
		}
	}
}

func golden(t *testing.T, file string, got pod.Usage) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)+"\n"); diff != "" {
		t.Errorf("%s (-want +got; -rewrite writes it anew):\n%s", file, diff)
	}
}

// TestCoreReadsLess: processor and memory, and nothing that needs more files.
func TestCoreReadsLess(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		m := newMachine(t, version)
		got, err := m.reader().Read(t.Context(), []*corev1.Pod{m.pod(version, uid, "web", "nginx")}, pod.UsageCore)
		if err != nil {
			t.Fatal(err)
		}
		c := got.Pods[0].Containers[0]
		if c.CPU.Total < 129*time.Millisecond || c.Memory.WorkingSet != 249856-8192 || c.Memory.RSS != 49152 || c.IO != nil || c.Processes.Processes != 0 {
			t.Errorf("%s: %+v", version, c)
		}
		if got.Pods[0].Sandbox != nil || got.Pods[0].Network != nil {
			t.Errorf("%s: %+v", version, got.Pods[0])
		}
	}
}

// TestHowBusy: from two readings, by the time between them.
func TestHowBusy(t *testing.T) { synctest.Test(t, howBusy) }

func howBusy(t *testing.T) {
	m := newMachine(t, "v2")
	p := m.pod("v2", uid, "web", "nginx")
	r := m.reader()
	for _, step := range []struct {
		after    time.Duration
		micro    string
		cores    float64
		window   time.Duration
		whatever string
	}{
		{0, "1000000", 0, 0, "nothing to compare with"},
		{100 * time.Millisecond, "1100000", 0, 0, "too soon"},
		{300 * time.Millisecond, "1200000", 0.5, 400 * time.Millisecond, "since the first"},
		{9600 * time.Millisecond, "6000000", 0.5, 10 * time.Second, "since the first, for the last time"},
		{100 * time.Millisecond, "6100000", 0.5, 10 * time.Second, "what was found before stands"},
		{time.Second, "8200000", 2, 1100 * time.Millisecond, "since the reading that took the first's place"},
		{time.Second, "1000", 0, 0, "the cgroup is another one, as after a restart of the host"},
		{2 * time.Minute, "2000", 0, 0, "too long ago"},
	} {
		time.Sleep(step.after)
		m.write("v2"+cgroupOf(uid, pod.ID(uid, "nginx", 0))+"/cpu.stat", "usage_usec "+step.micro+"\n")
		got, err := r.Read(t.Context(), []*corev1.Pod{p}, pod.UsageCore)
		if err != nil {
			t.Fatal(err)
		}
		cpu := got.Pods[0].Containers[0].CPU
		if math.Abs(cpu.Cores-step.cores) > 1e-9 || cpu.Window != step.window {
			t.Errorf("%s: %v of a core over %v", step.whatever, cpu.Cores, cpu.Window)
		}
	}
}

// TestTheSandboxIsFoundByItsAttempt, and looked for from there on.
func TestTheSandboxIsFoundByItsAttempt(t *testing.T) {
	m := newMachine(t, "v2")
	p := m.pod("v2", uid, "web")
	r := m.reader()
	for _, attempt := range []int{0, 5, 66} {
		old, id := pod.ID(uid, pod.SandboxName, 0), pod.ID(uid, pod.SandboxName, attempt)
		if attempt > 0 {
			if err := os.RemoveAll(filepath.Join(m.dir, "v2", cgroupOf(uid, old))); err != nil {
				t.Fatal(err)
			}
			m.group("v2", cgroupOf(uid, id), "7\n")
		}
		got, err := r.Read(t.Context(), []*corev1.Pod{p}, pod.UsageAll)
		if err != nil {
			t.Fatal(err)
		}
		if s := got.Pods[0].Sandbox; s == nil || len(got.Pods[0].Network) != 1 {
			t.Errorf("attempt %d: %+v", attempt, got.Pods[0])
		}
		if err := os.RemoveAll(filepath.Join(m.dir, "v2", cgroupOf(uid, id))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatCantBeReadHidesNothing but is told.
func TestWhatCantBeReadHidesNothing(t *testing.T) {
	m := newMachine(t, "v2")
	p := m.pod("v2", uid, "web", "nginx")
	broken := filepath.Join(m.dir, "v2", cgroupOf(uid, ""), "cpu.stat")
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(broken, 0o755); err != nil { // reading it is EISDIR
		t.Fatal(err)
	}
	got, err := m.reader().Read(t.Context(), []*corev1.Pod{p}, pod.UsageAll)
	if err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("error %v", err)
	}
	if len(got.Pods) != 1 || got.Pods[0].Memory.Usage != 249856 || len(got.Pods[0].Containers) != 1 {
		t.Errorf("%+v", got.Pods)
	}
}

// TestTheRealMachine: this one's own hierarchies and /proc can be read.
func TestTheRealMachine(t *testing.T) {
	h, err := stats.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, "v1")
	m.cfg.Hierarchies, m.cfg.Proc, m.cfg.CgroupRoot = h, "/proc", "/"
	got, err := m.reader().Read(t.Context(), nil, pod.UsageAll)
	if err != nil {
		t.Error(err)
	}
	n := got.Node
	if n.CPU.Total == 0 || n.Memory.Usage == 0 || n.Memory.WorkingSet == 0 || n.Machine.Cores == 0 || n.Machine.Memory < n.Memory.WorkingSet || n.Threads == 0 || n.MaxTasks == 0 || n.Root == nil {
		t.Errorf("%+v", n)
	}
	if time.Since(n.Booted) <= 0 {
		t.Errorf("%+v", n.Machine)
	}
}
