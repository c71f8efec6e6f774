package stats_test

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/stats"
)

const uid = types.UID("11111111-2222-3333-4444-555555555555")

func cgroupOf(uid types.UID, id string) string { return path.Join("/podd", "pod"+string(uid), id) }

// machine is a machine made of files.
type machine struct {
	t   testing.TB
	dir string
	cfg stats.Config
}

// newMachine has the hierarchies of v1.txt or v2.txt, and the root and podd's
// own cgroup in them.
func newMachine(t testing.TB, version string) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	m.cfg = stats.Config{
		Proc: filepath.Join(m.dir, "proc"), CgroupRoot: "/podd",
		PodCgroup:       func(uid types.UID) string { return cgroupOf(uid, "") },
		ContainerCgroup: cgroupOf, SandboxCgroup: cgroupOf, SandboxImage: "podd.io/pause:1",
		Root: m.dir,
		VolumePath: func(uid types.UID, v corev1.Volume) string {
			return filepath.Join(m.dir, "volumes", string(uid), v.Name)
		},
		LogDir: func(key pod.Key, container string) string { return filepath.Join(m.dir, "logs", key.Name, container) },
		Images: func(context.Context) (string, error) { return m.dir, nil },
	}
	if version == "v2" {
		m.cfg.Hierarchies = stats.Hierarchies{V2: filepath.Join(m.dir, "v2")}
	} else {
		m.cfg.Hierarchies = stats.Hierarchies{V1: map[string]string{}, V2: filepath.Join(m.dir, "unified")}
		for _, controller := range []string{"cpu", "cpuacct", "memory", "blkio", "pids"} {
			m.cfg.Hierarchies.V1[controller] = filepath.Join(m.dir, controller)
		}
	}
	for name, text := range archive(t, "testdata/proc.txt") {
		m.write(name, text)
	}
	m.group(version, "/", "")
	m.group(version, "/podd", "")
	return m
}

func archive(t testing.TB, file string) map[string]string {
	t.Helper()
	parsed, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range parsed.Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	file := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// group makes a cgroup of the captured files, with these processes in it.
func (m *machine) group(version, cgroup, processes string) {
	m.t.Helper()
	for name, text := range archive(m.t, "testdata/"+version+".txt") {
		hierarchy, file, _ := strings.Cut(name, "/")
		if file == "cgroup.procs" {
			text = processes
		}
		m.write(path.Join(hierarchy, cgroup, file), text)
	}
}

// pod makes a pod's cgroups, and returns the pod. Its containers have process 7.
func (m *machine) pod(version string, uid types.UID, name string, containers ...string) *corev1.Pod {
	m.t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: uid}}
	m.group(version, cgroupOf(uid, ""), "")
	m.group(version, cgroupOf(uid, pod.ID(uid, pod.SandboxName, 0)), "7\n")
	for _, c := range containers {
		id := pod.ID(uid, c, 0)
		m.group(version, cgroupOf(uid, id), "7\n")
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c, Image: "docker.io/library/" + c + ":1", ContainerID: "containerd://" + id,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Unix(1_700_000_000, 0)}},
		})
	}
	return p
}

func (m *machine) reader() *stats.Reader {
	m.t.Helper()
	r, err := stats.New(m.cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(r.Close)
	return r
}

// open gives process 7 open files.
func (m *machine) open(links ...string) {
	m.t.Helper()
	dir := filepath.Join(m.dir, "proc/7/fd")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
	for i, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, fmt.Sprint(i))); err != nil {
			m.t.Fatal(err)
		}
	}
}
