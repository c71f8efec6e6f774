package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/zap/zaptest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/pod"
)

// captured is what package stats reads of captured files; its test writes it.
func captured(t testing.TB, version string) pod.Usage {
	t.Helper()
	text, err := os.ReadFile("../runtime/stats/testdata/usage-" + version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var u pod.Usage
	if err := json.Unmarshal(text, &u); err != nil {
		t.Fatal(err)
	}
	for _, p := range u.Pods {
		at := metav1.NewTime(u.Node.Time.Add(-2 * time.Hour))
		p.Pod.Status.StartTime = &at
	}
	return u
}

func pagesOf(t testing.TB, u pod.Usage, err error) []*usagePage {
	return usagePages(Config{Usage: func(context.Context, pod.UsageOf) (pod.Usage, error) { return u, err }, Log: zaptest.NewLogger(t)})
}

var took = regexp.MustCompile(`(?m)^(podd_scrape_collector_duration_seconds\{.*\}) .*$`)

func written(p *usagePage) string {
	var out bytes.Buffer
	p.write(context.Background(), &out)
	return took.ReplaceAllString(out.String(), "$1 0.001")
}

func TestUsagePages(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		for _, p := range pagesOf(t, captured(t, version), nil) {
			file := fmt.Sprintf("testdata/%s-%s.txt", filepath.Base(p.path), version)
			got := written(p)
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; -rewrite writes it anew):\n%s", file, diff)
			}
			checkFormat(t, got)
		}
	}
}

// checkFormat: it can be read by Prometheus' own parser, no series is there
// twice, and nothing is wrong with names but what upstream chose so.
func checkFormat(t *testing.T, text string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		series := line[:strings.LastIndexByte(line, ' ')]
		if seen[series] && line[0] != '#' {
			t.Errorf("there twice: %s", series)
		}
		seen[series] = true
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, problem := range problems {
		if !slices.Contains(upstreams, problem.Metric) {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

// upstreams are names that promlint doesn't like, and that cAdvisor's users
// look for.
var upstreams = []string{
	"container_fs_inodes_total", "container_memory_failcnt", "cadvisor_version_info",
}

// TestARowIsAsDashboardsSelectIt: those of Kubernetes' mixin, and of most people.
func TestARowIsAsDashboardsSelectIt(t *testing.T) {
	text := written(pagesOf(t, captured(t, "v1"), nil)[0])
	id := pod.ID("11111111-2222-3333-4444-555555555555", "nginx", 0)
	pause := pod.ID("11111111-2222-3333-4444-555555555555", "POD", 0)
	cgroup := "/podd/pod11111111-2222-3333-4444-555555555555"
	for _, want := range []string{
		`container_cpu_usage_seconds_total{container="nginx",id="` + cgroup + "/" + id + `",image="docker.io/library/nginx:1",name="` + id + `",namespace="default",pod="web",cpu="total"} `,
		`container_memory_working_set_bytes{container="",id="` + cgroup + `",image="",name="",namespace="default",pod="web"} `,
		`container_network_receive_bytes_total{container="POD",id="` + cgroup + "/" + pause + `",image="podd.io/pause:1",name="` + pause + `",namespace="default",pod="web",interface="eth0"} 2586`,
		`container_memory_rss{container="",id="/",image="",name="",namespace="",pod=""} `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(text, "\ncontainer_network_receive_bytes_total{"); n != 2 { // the machine's and one pod's
		t.Errorf("%d interfaces receive", n)
	}
}

// TestAFailedReadingIsTold, and what was read is told all the same.
func TestAFailedReadingIsTold(t *testing.T) {
	for _, p := range pagesOf(t, captured(t, "v2"), errors.New("read /sys/fs/cgroup/x: input/output error")) {
		text := written(p)
		for _, want := range []string{
			`podd_scrape_collector_success{collector="` + p.name + `"} 0`, `scrape_error 1`, `container_cpu_usage_seconds_total{container="nginx"`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s", p.path, want)
			}
		}
	}
}

// TestCompression is for those who are not on the host.
func TestCompression(t *testing.T) {
	p := pagesOf(t, captured(t, "v2"), nil)[1]
	for remote, packed := range map[string]bool{"127.0.0.1:1": false, "[::1]:1": false, "10.0.0.1:1": true} {
		r, w := httptest.NewRequest(http.MethodGet, p.path, nil), httptest.NewRecorder()
		r.RemoteAddr = remote
		r.Header.Set("Accept-Encoding", "gzip")
		p.ServeHTTP(w, r)
		var body io.Reader = w.Body
		if packed {
			unpacked, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = unpacked
		}
		text, err := io.ReadAll(body)
		if err != nil || !strings.Contains(string(text), "resource_scrape_error 0") || (w.Header().Get("Content-Encoding") == "gzip") != packed {
			t.Errorf("%s: %v %v", remote, err, w.Header())
		}
	}
}

// TestBeforeAnythingIsKnown there are no rows of nothing.
func TestBeforeAnythingIsKnown(t *testing.T) {
	for _, p := range pagesOf(t, pod.Usage{}, errors.New("podd starts")) {
		text := written(p)
		checkFormat(t, text)
		if strings.Contains(text, "cpu_usage_seconds_total") || !strings.Contains(text, `podd_scrape_collector_success{collector="`+p.name+`"} 0`) {
			t.Errorf("%s: %s", p.path, text)
		}
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	var out bytes.Buffer
	e := newExposition(&out)
	e.metric("x", "X.", gauge)
	e.sample(0.5, label("a", "q\"b\\c\nd"), label("b", ""))
	e.flush()
	if want := "# HELP x X.\n# TYPE x gauge\n" + `x{a="q\"b\\c\nd",b=""} 0.5` + "\n"; out.String() != want {
		t.Errorf("%s", out.String())
	}
}
