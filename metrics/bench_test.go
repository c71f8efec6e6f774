package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/stats"
)

// BenchmarkScrape reads all pages with 200 pods of one container each, from the
// captured files of a cgroup, v1 and v2. It has to take less than 100 ms on two
// processors.
func BenchmarkScrape(b *testing.B) {
	for _, version := range []string{"v1", "v2"} {
		b.Run(version, func(b *testing.B) { scrapeAll(b, version, 200) })
	}
}

func scrapeAll(b *testing.B, version string, count int) {
	reader, pods := fabricated(b, version, count)
	h := handler(Config{
		Snapshot: func() Snapshot { return Snapshot{Pods: pods} },
		Usage: func(ctx context.Context, of pod.UsageOf) (pod.Usage, error) {
			return reader.Read(ctx, pods, of)
		},
		Meter: NewMeter(), Images: NewImages(), Store: NewStore(), Log: zap.NewNop(),
	})
	paths := []string{}
	for _, p := range pages(Config{Meter: NewMeter(), Images: NewImages(), Store: NewStore()}) {
		paths = append(paths, p.path)
	}
	for _, p := range usagePages(Config{}) {
		paths = append(paths, p.path)
	}
	b.ReportAllocs()
	began := processorTime(b)
	for b.Loop() {
		size := 0
		for _, path := range paths {
			r, w := httptest.NewRequest(http.MethodGet, path, nil), &counted{header: http.Header{}}
			r.RemoteAddr = "127.0.0.1:1"
			h.ServeHTTP(w, r)
			if size += w.n; w.n == 0 {
				b.Fatalf("%s is empty", path)
			}
		}
		b.ReportMetric(float64(size)/(1<<20), "MiB/pages")
	}
	b.ReportMetric(float64(processorTime(b)-began)/float64(time.Millisecond)/float64(b.N), "cpu-ms/op")
}

// processorTime is what this process used: unlike the clock it tells the same on
// a busy machine.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// counted is a client that reads as fast as it can.
type counted struct {
	header http.Header
	n      int
}

func (c *counted) Header() http.Header         { return c.header }
func (c *counted) WriteHeader(int)             {}
func (c *counted) Write(p []byte) (int, error) { c.n += len(p); return io.Discard.Write(p) }

// fabricated makes cgroups of files, in memory if there is a tmpfs.
func fabricated(b *testing.B, version string, count int) (*stats.Reader, []*corev1.Pod) {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "podd-bench")
	if err != nil {
		dir = b.TempDir()
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	cgroup := func(uid types.UID, id string) string { return path.Join("/podd", "pod"+string(uid), id) }
	cfg := stats.Config{
		Hierarchies: stats.Hierarchies{V2: filepath.Join(dir, "v2")}, Proc: filepath.Join(dir, "proc"), CgroupRoot: "/podd",
		PodCgroup:       func(uid types.UID) string { return cgroup(uid, "") },
		ContainerCgroup: cgroup, SandboxCgroup: cgroup, SandboxImage: "podd.io/pause:1", Root: dir,
		VolumePath: func(types.UID, corev1.Volume) string { return "" },
		LogDir:     func(pod.Key, string) string { return "" },
		Images:     func(context.Context) (string, error) { return dir, nil },
	}
	if version == "v1" {
		cfg.Hierarchies = stats.Hierarchies{V1: map[string]string{}, V2: filepath.Join(dir, "unified")}
		for _, controller := range []string{"cpu", "cpuacct", "memory", "blkio", "pids"} {
			cfg.Hierarchies.V1[controller] = filepath.Join(dir, controller)
		}
	}
	unpack(b, "proc", dir, "")
	unpack(b, version, dir, "/")
	unpack(b, version, dir, "/podd")
	pods := make([]*corev1.Pod, count)
	for i := range pods {
		pods[i] = benchPod(i)
		uid := pods[i].UID
		for _, id := range []string{"", pod.ID(uid, pod.SandboxName, 0), pod.ID(uid, "main", 0)} {
			unpack(b, version, dir, cgroup(uid, id))
		}
	}
	reader, err := stats.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(reader.Close)
	return reader, pods
}

func benchPod(i int) *corev1.Pod {
	uid := types.UID(fmt.Sprintf("11111111-2222-3333-4444-%012d", i))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("pod-%03d", i), UID: uid},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "docker.io/library/nginx:1"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", Image: "docker.io/library/nginx:1", ContainerID: "containerd://" + pod.ID(uid, "main", 0),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(time.Unix(1_700_000_000, 0))}},
		}}},
	}
}

// unpack writes captured files, those of a cgroup below its place.
func unpack(b *testing.B, name, dir, cgroup string) {
	b.Helper()
	archive, err := txtar.ParseFile("../runtime/stats/testdata/" + name + ".txt")
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range archive.Files {
		hierarchy, file, _ := strings.Cut(f.Name, "/")
		target := filepath.Join(dir, hierarchy, cgroup, file)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(target, f.Data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
}
