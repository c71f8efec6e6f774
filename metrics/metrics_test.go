package metrics

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/zap/zaptest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/ anew")

func podIn(phase corev1.PodPhase, name string, restarts ...int32) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Status:     corev1.PodStatus{Phase: phase},
	}
	for i, n := range restarts {
		status := corev1.ContainerStatus{Name: string(rune('a' + i)), RestartCount: n}
		if i == 0 {
			p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, status)
			continue
		}
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, status)
	}
	return p
}

// gathered has everything of podd's own but what differs from run to run.
func gathered() prometheus.Gatherer {
	meter := metered()
	store := NewStore()
	store.Wrote("memo", 3*time.Millisecond, nil)
	store.Wrote("memo", 2*time.Second, errors.New("no space"))
	build := Build{Version: "v1.2.3", Commit: "abc", GoVersion: "go1.26", KubernetesVersion: "v1.37.2"}
	snapshot := world()
	snapshot.Manifests = map[string]int{"applied": 3, "broken": 1, "waiting": 0}
	snapshot.Restarts = map[types.UID]map[string]map[string]int{"uid-of-web": {"web": {"OOMKilled": 1, "Error": 1}}}
	snapshot.Static = map[types.UID]bool{"uid-of-web": true}
	snapshot.Load = agent.Load{Actions: map[string]agent.Queue{"container": {Running: 4, Waiting: 9}, "pull": {Running: 1}}, Watches: 2, Unread: 7}
	snapshot.Reconnects = 1
	size := int64(65536)
	images := NewImages()
	images.Collected("image", "space")
	images.Collected("log", "age")
	images.Damaged("repaired")
	all := prometheus.Gatherers{ // it checks that series differ, and orders them
		registered("images", images).from, registered("store", store.duration, store.errors).from,
		table[disk]{onDisk(), func() (disk, error) { return disk{&size, 8192, 4096}, nil }},
		table[Snapshot]{kubeletNow(), func() (Snapshot, error) { return snapshot, nil }},
		table[Snapshot]{podd(build, time.UnixMilli(1_700_000_000_250)), func() (Snapshot, error) { return snapshot, nil }},
	}
	for _, p := range meter.parts() {
		all = append(all, p.from)
	}
	return all
}

func TestExposition(t *testing.T) {
	golden(t, "testdata/metrics.txt", gathered())
}

// golden holds what is gathered against a file.
func golden(t *testing.T, file string, from prometheus.Gatherer) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&got, family); err != nil {
			t.Fatal(err)
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got; -rewrite writes it anew):\n%s", file, diff)
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(gathered())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestServer(t *testing.T) {
	notReady := errors.New("containerd does not answer")
	var ready error
	server, err := Listen("127.0.0.1:0", Config{
		Snapshot: func() Snapshot { return Snapshot{} },
		Meter:    NewMeter(), Images: NewImages(), Store: NewStore(),
		Ready: func() error { return ready },
		Log:   zaptest.NewLogger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(server.Address().String(), Config{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a taken address: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	base := "http://" + server.Address().String()

	if code, body := get(t, base+"/healthz"); code != 200 || body != "ok" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	if code, body := get(t, base+"/readyz"); code != 200 || body != "ok" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	ready = notReady
	if code, body := get(t, base+"/readyz"); code != 503 || body != notReady.Error()+"\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	code, body := get(t, base+"/metrics")
	for _, series := range []string{`podd_pods{phase="Running"} 0`, `podd_scrape_collector_success{collector="podd"} 1`, "go_goroutines ", "process_start_time_seconds ", "podd_build_info{"} {
		if code != 200 || !strings.Contains(body, "\n"+series) {
			t.Errorf("/metrics: %d, no %q in it", code, series)
		}
	}
	if code, _ := get(t, base+"/other"); code != 404 {
		t.Errorf("/other: %d", code)
	}

	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// TestOneBadSeriesDoesNotHideTheOthers has two pods of one name, as there should
// never be.
func TestOneBadSeriesDoesNotHideTheOthers(t *testing.T) {
	twins := Snapshot{Pods: []*corev1.Pod{podIn(corev1.PodRunning, "web", 1), podIn(corev1.PodRunning, "web", 1)}}
	server, err := Listen("127.0.0.1:0", Config{
		Snapshot: func() Snapshot { return twins }, Meter: NewMeter(), Images: NewImages(), Store: NewStore(), Log: zaptest.NewLogger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	code, body := get(t, "http://"+server.Address().String()+"/metrics")
	if code != 200 || !strings.Contains(body, `podd_pods{phase="Running"} 2`) {
		t.Errorf("%d: %s", code, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
