package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const forPrometheus = "../contrib/prometheus"

// prom is a Prometheus that reads one podd, as the shipped configuration says
// but for its target and for how often.
type prom struct {
	t    *testing.T
	base string
}

func newProm(t *testing.T, n *node) *prom {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(forPrometheus, "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	mine := strings.NewReplacer("127.0.0.1:9471", n.metrics, "_interval: 15s", "_interval: 1s").Replace(string(config))
	mine = strings.Replace(mine, "  - podd.rules.yml", "  - podd.rules.yml\n  - kubernetes-mixin.yaml", 1)
	dir := n.path("prometheus")
	for name, text := range map[string]string{
		"prometheus.yml": mine, "podd.rules.yml": read(t, filepath.Join(forPrometheus, "podd.rules.yml")),
		"kubernetes-mixin.yaml": read(t, "testdata/kubernetes-mixin.yaml"),
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := exec.Command("prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", address, "--log.level", "warn")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // its data goes with the test
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", out.String())
		}
	})
	return &prom{t, "http://" + address}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// answer is one series of an instant query's result.
type answer struct {
	labels map[string]string
	value  float64
}

func (p *prom) query(promql string) ([]answer, error) {
	resp, err := http.Get(p.base + "/api/v1/query?query=" + url.QueryEscape(promql))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var body struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return nil, err
	}
	if body.Status != "success" {
		return nil, fmt.Errorf("%s: %s", promql, body.Error)
	}
	var all []answer
	for _, r := range body.Data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		all = append(all, answer{r.Metric, value})
	}
	return all, nil
}

// until waits for an answer with data that is as it should be.
func (p *prom) until(n *node, promql string, good func(float64) bool) {
	p.t.Helper()
	n.eventually(60*time.Second, promql, func() error {
		all, err := p.query(promql)
		if err != nil {
			return err
		}
		for _, a := range all {
			if good(a.value) {
				return nil
			}
		}
		return fmt.Errorf("the answer is %v", all)
	})
}

// nothing waits until there is nothing to answer: an alert's expression may be
// true for a moment.
func (p *prom) nothing(n *node, promql string) {
	p.t.Helper()
	n.eventually(30*time.Second, "no answer to "+promql, func() error {
		all, err := p.query(promql)
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("the answer is %v", all)
		}
		return err
	})
}

func is(want float64) func(float64) bool { return func(v float64) bool { return v == want } }

func above(least float64) func(float64) bool { return func(v float64) bool { return v > least } }

const observed = `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: app
    image: busybox:1.36
    command: [sh, -c, "touch /tmp/alive; dd if=/dev/urandom of=/dev/shm/x bs=1M count=8; sleep 1000"]
    resources: {requests: {memory: 16Mi}, limits: {memory: 64Mi}}
    livenessProbe: {exec: {command: [cat, /tmp/alive]}, periodSeconds: 1, timeoutSeconds: 20}
    readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}
  - name: burns
    image: busybox:1.36
    command: [sh, -c, "while :; do :; done"]
    resources: {requests: {cpu: 10m}, limits: {cpu: 50m}}
  - name: page
    image: nginx:1.14.2
---
apiVersion: v1
kind: Pod
metadata: {name: loop}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, "exit 1"]
---
apiVersion: v1
kind: Pod
metadata: {name: done}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox:1.36
    command: ["true"]
`

// TestPrometheus: a real one, with what is shipped for it, answers what a user
// asks, and what kubernetes-mixin's rules ask.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(observed)
	p := newProm(t, n)
	n.ready("web")
	n.phase("done", "Succeeded")
	n.eventually(30*time.Second, "it crashes over and over", func() error {
		if out := n.podctl("get", "pod", "loop"); !strings.Contains(out, "CrashLoopBackOff") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	n.podctl("exec", "web", "-c", "app", "--", "rm", "/tmp/alive")
	for promql, good := range map[string]func(float64) bool{
		`count(up{job=~"kubelet|cadvisor|kube-state-metrics"} == 1)`:                                           is(5),
		`sum(podd_scrape_collector_success) == count(podd_scrape_collector_success)`:                           above(5),
		`podd_pods{phase="Running"}`:                                                                           is(2),
		`count(kube_pod_status_phase{phase="Succeeded"} == 1)`:                                                 is(1),
		`kube_pod_status_ready{pod="loop",condition="false"}`:                                                  is(1),
		`kube_pod_container_status_restarts_total{pod="loop"}`:                                                 above(0),
		`podd_container_restarts_total{pod="loop",reason="Error"}`:                                             above(0),
		`kube_pod_container_status_last_terminated_exitcode{pod="loop"}`:                                       is(1),
		`kube_pod_container_status_waiting_reason{pod="loop",reason="CrashLoopBackOff"}`:                       is(1),
		`podd_containers_waiting{reason="CrashLoopBackOff"}`:                                                   is(1),
		`container_memory_working_set_bytes{pod="web",container="app"}`:                                        above(1 << 20),
		`sum by (pod) (rate(container_cpu_usage_seconds_total{pod="web",container="burns"}[30s]))`:             above(0.01),
		`container_memory_working_set_bytes{job="kubelet",pod="web",container="app"}`:                          above(1 << 20),
		`prober_probe_total{pod="web",container="app",probe_type="Liveness",result="successful"}`:              above(0),
		`prober_probe_total{pod="web",container="app",probe_type="Liveness",result="failed"}`:                  above(0),
		`prober_probe_duration_seconds_count{pod="web",probe_type="Readiness"}`:                                above(0),
		`podd_probes_total{probe_type="Liveness",result="failed"}`:                                             above(0),
		`kubelet_node_name{node="test-node"}`:                                                                  is(1),
		`kubelet_running_pods`:                                                                                 above(0),
		`kubelet_running_containers{container_state="running"}`:                                                above(0),
		`kubelet_started_pods_total`:                                                                           is(3),
		`kubelet_runtime_operations_total{operation_type="run_podsandbox"}`:                                    is(3),
		`histogram_quantile(0.9, podd_pod_start_duration_seconds_bucket{to="ready"})`:                          above(0),
		`podd_store_commit_duration_seconds_count{what="memo"}`:                                                above(3),
		`podd_store_size_bytes`:                                                                                above(1000),
		`podd_disk_written_bytes_total`:                                                                        above(0),
		`kube_node_status_condition{condition="Ready",status="true"}`:                                          is(1),
		`kube_pod_container_resource_limits{pod="web",container="app",resource="memory"}`:                      is(64 << 20),
		`kube_pod_info{node="test-node",pod="web"} * on (pod) group_left (phase) (kube_pod_status_phase == 1)`: is(1),
	} {
		p.until(n, promql, good)
	}
	p.mixin(n)
	p.dashboard(n)
	p.nothing(n, `ALERTS{alertname=~"Podd.*",alertstate="firing"}`)
	n.podctl("delete", "pod", "web")
	p.until(n, `count({pod="web",metrics_path=~"/metrics/(probes|kube-state)"}) or vector(0)`, is(0))
}

// silent are the mixin's alerts that have no reason to fire in this test.
var silent = []string{
	"KubeContainerWaiting", "KubeCPUOvercommit", "KubeMemoryOvercommit", "KubeNodeNotReady", "KubeNodePressure", "KubeNodeUnreachable",
	"KubeletTooManyPods", "KubeNodeReadinessFlapping", "KubeNodeEviction", "KubeletPlegDurationHigh", "KubeletPodStartUpLatencyHigh", "KubeletDown",
}

// loud are those that have. They would fire after a quarter of an hour.
var loud = map[string]string{"KubePodCrashLooping": "loop", "KubePodNotReady": "loop", "CPUThrottlingHigh": "web"}

// mixin asks for what every rule of kubernetes-mixin records, and for what every
// alert would fire on.
func (p *prom) mixin(n *node) {
	p.t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct{ Record, Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(p.t, "testdata/kubernetes-mixin.yaml")), &file); err != nil {
		p.t.Fatal(err)
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			switch pod, fires := loud[rule.Alert]; {
			case rule.Record != "":
				p.until(n, rule.Record, func(float64) bool { return true })
			case fires:
				p.until(n, fmt.Sprintf("count((%s) and on (pod) kube_pod_info{pod=%q})", strings.TrimSpace(rule.Expr), pod), above(0))
			case slices.Contains(silent, rule.Alert):
				p.nothing(n, rule.Expr)
			default:
				p.t.Errorf("nobody says whether %s is to fire", rule.Alert)
			}
		}
	}
}

// dashboard asks every query of the shipped dashboard.
func (p *prom) dashboard(n *node) {
	p.t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(p.t, filepath.Join(forPrometheus, "podd.dashboard.json"))), &board); err != nil {
		p.t.Fatal(err)
	}
	queries := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			queries++
			p.until(n, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"), func(float64) bool { return true })
		}
	}
	if queries < 25 {
		p.t.Errorf("the dashboard has %d queries", queries)
	}
}

// upstreamsSins are the findings of promtool that are not podd's: the names are
// cAdvisor's and a kubelet's.
var upstreamsSins = regexp.MustCompile(`^(container|machine|cadvisor|kubelet|pod|node)_\S+ (no help text|counter metrics should have "_total" suffix|non-counter metrics should not have "_total" suffix|non-histogram and non-summary metrics should not have "_count" suffix|use base unit|label names should be written in 'snake_case' not 'camelCase')`)

// TestPromtool holds every page, and what is shipped, to Prometheus' own rules.
func TestPromtool(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(observed)
	n.ready("web")
	for _, page := range []string{"", "/cadvisor", "/resource", "/probes", "/kube-state"} {
		resp, err := http.Get("http://" + n.metrics + "/metrics" + page)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || len(text) < 500 {
			t.Fatalf("/metrics%s: %s, %d bytes, %v", page, resp.Status, len(text), err)
		}
		for _, line := range strings.Split(strings.TrimSpace(promtool(t, text, "check", "metrics")), "\n") {
			if line != "" && !upstreamsSins.MatchString(line) {
				t.Errorf("/metrics%s: %s", page, line)
			}
		}
	}
	if out := promtool(t, nil, "test", "rules", filepath.Join(forPrometheus, "podd.rules.test.yml")); !strings.Contains(out, "SUCCESS") {
		t.Error(out)
	}
	if out := promtool(t, nil, "check", "config", filepath.Join(forPrometheus, "prometheus.yml")); strings.Contains(out, "FAILED") || !strings.Contains(out, "SUCCESS") {
		t.Error(out)
	}
}

// promtool gives all that it says. Findings are no failure of it.
func promtool(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if len(out) == 0 && err != nil {
		t.Fatalf("promtool: %v: run `make deps`", err)
	}
	return string(out)
}
