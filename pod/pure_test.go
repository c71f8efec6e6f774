package pod

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestExpand(t *testing.T) {
	vars := map[string]string{"A": "1", "B": "$(A)", "": "empty"}
	for in, want := range map[string]string{
		"":              "",
		"plain":         "plain",
		"$(A)":          "1",
		"x$(A)y$(A)z":   "x1y1z",
		"$(B)":          "$(A)",
		"$(NOPE)":       "$(NOPE)",
		"$$(A)":         "$(A)",
		"$$$(A)":        "$1",
		"$$$$(A)":       "$$(A)",
		"$A":            "$A",
		"$":             "$",
		"a$":            "a$",
		"$(A":           "$(A",
		"$(A$(A)":       "$(A$(A)",
		"$()":           "empty",
		"$(A)$":         "1$",
		"$$":            "$",
		"$é":            "$é",
		"$(NOPE)$(A)$$": "$(NOPE)1$",
	} {
		if got := expand(in, vars); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("$(A) $$ $(")
	f.Fuzz(func(t *testing.T, s string) {
		got := expand(s, map[string]string{"A": "1"})
		if !strings.Contains(s, "$") && got != s {
			t.Errorf("expand(%q) = %q", s, got)
		}
	})
}

func TestBackOffPolicy(t *testing.T) {
	p := DefaultBackOff
	for n, want := range map[int]time.Duration{
		1: 10 * time.Second, 2: 20 * time.Second, 5: 160 * time.Second, 6: 5 * time.Minute, 1000: 5 * time.Minute,
	} {
		if got := p.delay(n); got != want {
			t.Errorf("delay(%d) = %v, want %v", n, got, want)
		}
	}
	if got := (BackOffPolicy{Initial: time.Hour, Max: time.Minute}).delay(3); got != time.Minute {
		t.Errorf("delay beyond the maximum: %v", got)
	}
}

func TestBackOffStartsOver(t *testing.T) {
	p, now := DefaultBackOff, time.Unix(1000000, 0)
	b := BackOff{Delay: 80 * time.Second, At: now}
	for after, want := range map[time.Duration]time.Duration{
		time.Second:                   160 * time.Second,
		10 * time.Minute:              160 * time.Second,
		10*time.Minute + time.Second:  10 * time.Second,
		100*time.Minute + time.Second: 10 * time.Second,
	} {
		finished := now.Add(after)
		if got := b.next(p, finished, finished).Delay; got != want {
			t.Errorf("after a run of %v the delay is %v, want %v", after, got, want)
		}
		wait := b.ready(p, finished).Sub(finished)
		if over := after > 2*p.Max; over && wait != 0 || !over && wait != b.Delay {
			t.Errorf("after a run of %v it waits %v", after, wait)
		}
	}
}

func res(cpu, memory string) corev1.ResourceList {
	list := corev1.ResourceList{}
	if cpu != "" {
		list[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		list[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	return list
}

func withResources(name string, requests, limits corev1.ResourceList) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}
}

func podOf(init []corev1.Container, apps ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", UID: "u"},
		Spec:       corev1.PodSpec{InitContainers: init, Containers: apps},
	}
}

func TestResources(t *testing.T) {
	none := withResources("n", nil, nil)
	full := withResources("f", res("500m", "100Mi"), res("500m", "100Mi"))
	burst := withResources("b", res("100m", "10Mi"), res("1", "20Mi"))
	half := withResources("h", res("100m", ""), nil)
	big := withResources("i", res("2", "1Mi"), res("2", "1Mi"))
	const mib = 1 << 20
	overhead := podOf(nil, full)
	overhead.Spec.Overhead = res("10m", "1Mi")
	for name, c := range map[string]struct {
		pod   *corev1.Pod
		class corev1.PodQOSClass
		want  PodResources
		oom   int
	}{
		"nothing":         {podOf(nil, none), corev1.PodQOSBestEffort, PodResources{}, 1000},
		"guaranteed":      {podOf(nil, full, full), corev1.PodQOSGuaranteed, PodResources{1000, 1000, 200 * mib}, -997},
		"burstable":       {podOf(nil, burst, full), corev1.PodQOSBurstable, PodResources{600, 1500, 120 * mib}, 990},
		"one unlimited":   {podOf(nil, none, full), corev1.PodQOSBurstable, PodResources{500, 0, 0}, 999},
		"requests only":   {podOf(nil, half), corev1.PodQOSBurstable, PodResources{100, 0, 0}, 999},
		"init needs more": {podOf([]corev1.Container{big}, full), corev1.PodQOSGuaranteed, PodResources{2000, 2000, 100 * mib}, -997},
		"init unlimited":  {podOf([]corev1.Container{none}, full), corev1.PodQOSBurstable, PodResources{500, 0, 0}, 900},
		"overhead":        {overhead, corev1.PodQOSGuaranteed, PodResources{510, 510, 101 * mib}, -997},
	} {
		if got := qosClass(c.pod); got != c.class {
			t.Errorf("%s: class %s, want %s", name, got, c.class)
		}
		if got := podResources(c.pod); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		node := Node{Allocatable: res("2", "1000Mi")}
		if got := oomScoreAdj(c.pod, &c.pod.Spec.Containers[0], node); got != c.oom {
			t.Errorf("%s: oom score %d, want %d", name, got, c.oom)
		}
	}
}

func TestOOMScoreBounds(t *testing.T) {
	node := Node{Allocatable: res("2", "100Mi")}
	huge := podOf(nil, withResources("h", res("", "100Mi"), nil))
	if got := oomScoreAdj(huge, &huge.Spec.Containers[0], node); got != 3 {
		t.Errorf("all of the memory: %d", got)
	}
	critical, priority := podOf(nil, withResources("c", nil, nil)), int32(2000001000)
	critical.Spec.Priority = &priority
	if got := oomScoreAdj(critical, &critical.Spec.Containers[0], node); got != -997 {
		t.Errorf("node critical: %d", got)
	}
}

func TestResourceField(t *testing.T) {
	p := podOf(nil, withResources("a", res("250m", "100Mi"), nil), withResources("b", nil, res("1500m", "64Mi")))
	node := res("4", "8Gi")
	for _, c := range []struct{ container, resource, divisor, want string }{
		{"", "requests.cpu", "", "1"},
		{"", "requests.cpu", "1m", "250"},
		{"", "requests.memory", "1Mi", "100"},
		{"", "limits.cpu", "", "4"},
		{"", "limits.memory", "1Gi", "8"},
		{"b", "limits.cpu", "", "2"},
		{"b", "limits.memory", "", "67108864"},
		{"b", "requests.memory", "", "0"},
		{"", "requests.hugepages-2Mi", "", "0"},
	} {
		ref := &corev1.ResourceFieldSelector{ContainerName: c.container, Resource: c.resource}
		if c.divisor != "" {
			ref.Divisor = resource.MustParse(c.divisor)
		}
		if got, err := resourceField(ref, p, &p.Spec.Containers[0], node); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	for _, bad := range []string{"cpu", "limits.bananas", "wants.cpu"} {
		if _, err := resourceField(&corev1.ResourceFieldSelector{Resource: bad}, p, &p.Spec.Containers[0], node); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestResolvConf(t *testing.T) {
	const host = "# comment\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nsearch a. b .\noptions ndots:1 rotate\n"
	five, empty := "5", ""
	for name, c := range map[string]struct {
		policy corev1.DNSPolicy
		cfg    *corev1.PodDNSConfig
		host   string
		want   string
	}{
		"default":       {corev1.DNSDefault, nil, host, "search a b\nnameserver 1.1.1.1\nnameserver 2.2.2.2\noptions ndots:1 rotate\n"},
		"cluster first": {corev1.DNSClusterFirst, nil, host, "search a b\nnameserver 1.1.1.1\nnameserver 2.2.2.2\noptions ndots:1 rotate\n"},
		"none":          {corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"9.9.9.9"}}, host, "nameserver 9.9.9.9\n"},
		"merged": {corev1.DNSDefault, &corev1.PodDNSConfig{
			Nameservers: []string{"2.2.2.2", "3.3.3.3", "4.4.4.4"}, Searches: []string{"b", "c"},
			Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &five}, {Name: "edns0", Value: &empty}},
		}, host, "search a b c\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\noptions ndots:5 rotate edns0\n"},
		"no host file": {corev1.DNSDefault, nil, "", "search .\nnameserver 127.0.0.1\n"},
		"too long a domain": {corev1.DNSNone, &corev1.PodDNSConfig{Searches: []string{strings.Repeat("x", 254), "ok"}}, "",
			"search ok\n"},
	} {
		p := podOf(nil)
		p.Spec.DNSPolicy, p.Spec.DNSConfig = c.policy, c.cfg
		if diff := cmp.Diff(c.want, resolvConf(p, c.host)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestSearchLimits(t *testing.T) {
	r := resolver{}
	for range 40 {
		r.searches = append(r.searches, strings.Repeat("y", 100))
	}
	line := strings.Join(r.limited().searches, " ")
	if len(line) > maxSearchChars || len(line) < maxSearchChars-101 {
		t.Errorf("the search line has %d characters", len(line))
	}
}

func TestHostnames(t *testing.T) {
	yes, override := true, "other"
	long := strings.Repeat("a", 62) + ".bcd"
	for name, c := range map[string]struct {
		change                     func(*corev1.Pod)
		hostname, domain, nodename string
	}{
		"name":      {func(*corev1.Pod) {}, "p", "", "p"},
		"hostname":  {func(p *corev1.Pod) { p.Spec.Hostname = "h" }, "h", "", "h"},
		"subdomain": {func(p *corev1.Pod) { p.Spec.Subdomain = "s" }, "p", "s.default.svc.cluster.local", "p"},
		"fqdn": {func(p *corev1.Pod) { p.Spec.Subdomain, p.Spec.SetHostnameAsFQDN = "s", &yes },
			"p", "s.default.svc.cluster.local", "p.s.default.svc.cluster.local"},
		"long":     {func(p *corev1.Pod) { p.Name = long }, long[:62], "", long[:62]},
		"host":     {func(p *corev1.Pod) { p.Spec.HostNetwork = true }, "node", "", "node"},
		"override": {func(p *corev1.Pod) { p.Spec.HostnameOverride = &override }, "other", "", "other"},
	} {
		p := podOf(nil)
		c.change(p)
		hostname, domain := hostnameOf(p, Node{Hostname: "node"})
		nodename, err := nodenameOf(p, hostname, domain)
		if hostname != c.hostname || domain != c.domain || nodename != c.nodename || err != nil {
			t.Errorf("%s: %q %q %q %v", name, hostname, domain, nodename, err)
		}
	}
	p := podOf(nil)
	p.Spec.Hostname, p.Spec.Subdomain, p.Spec.SetHostnameAsFQDN = strings.Repeat("a", 40), "s", &yes
	hostname, domain := hostnameOf(p, Node{})
	if _, err := nodenameOf(p, hostname, domain); err == nil {
		t.Error("a name of more than 64 characters is taken")
	}
}

func port(ip string, number int32, protocol corev1.Protocol) *corev1.Pod {
	c := corev1.Container{Ports: []corev1.ContainerPort{{HostIP: ip, HostPort: number, Protocol: protocol}}}
	return podOf(nil, c)
}

func TestFits(t *testing.T) {
	node := Node{Allocatable: res("2", "1Gi")}
	node.Allocatable[corev1.ResourcePods] = resource.MustParse("3")
	ask := func(cpu, memory string) *corev1.Pod { return podOf(nil, withResources("c", res(cpu, memory), nil)) }
	clash := "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
	for name, c := range map[string]struct {
		pod             *corev1.Pod
		others          []*corev1.Pod
		reason, message string
	}{
		"alone":    {ask("2", "1Gi"), nil, "", ""},
		"full":     {ask("1", ""), []*corev1.Pod{ask("1", "")}, "", ""},
		"cpu":      {ask("1001m", ""), []*corev1.Pod{ask("1", "")}, "OutOfcpu", "Node didn't have enough resource: cpu, requested: 1001, used: 1000, capacity: 2000"},
		"memory":   {ask("", "2Gi"), nil, "OutOfmemory", "Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824"},
		"no ask":   {ask("", ""), []*corev1.Pod{ask("9", "")}, "", ""},
		"pods":     {ask("", ""), []*corev1.Pod{ask("", ""), ask("", ""), ask("", "")}, "OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"},
		"port":     {port("", 80, "TCP"), []*corev1.Pod{port("", 80, "")}, "NodePorts", clash},
		"any":      {port("10.0.0.1", 80, ""), []*corev1.Pod{port("0.0.0.0", 80, "")}, "NodePorts", clash},
		"same ip":  {port("10.0.0.1", 80, ""), []*corev1.Pod{port("10.0.0.1", 80, "")}, "NodePorts", clash},
		"other ip": {port("10.0.0.1", 80, ""), []*corev1.Pod{port("10.0.0.2", 80, "")}, "", ""},
		"udp":      {port("", 80, "UDP"), []*corev1.Pod{port("", 80, "TCP")}, "", ""},
		"other":    {port("", 81, ""), []*corev1.Pod{port("", 80, "")}, "", ""},
	} {
		reason, message, ok := Fits(c.pod, c.others, node)
		if reason != c.reason || message != c.message || ok != (c.reason == "") {
			t.Errorf("%s: %q %q %v", name, reason, message, ok)
		}
	}
}

func TestContentHash(t *testing.T) {
	base := map[string]File{"a": {[]byte("1"), 0o644}, "b": {[]byte("2"), 0o644}}
	for name, other := range map[string]map[string]File{
		"data": {"a": {[]byte("2"), 0o644}, "b": {[]byte("2"), 0o644}},
		"mode": {"a": {[]byte("1"), 0o600}, "b": {[]byte("2"), 0o644}},
		"path": {"a": {[]byte("1"), 0o644}, "c": {[]byte("2"), 0o644}},
		"less": {"a": {[]byte("1"), 0o644}},
		"none": {},
	} {
		if contentHash(base) == contentHash(other) {
			t.Errorf("%s makes no difference", name)
		}
	}
}

func TestEnvErrors(t *testing.T) {
	optional := true
	from := func(src corev1.EnvVarSource) corev1.Container {
		return corev1.Container{Env: []corev1.EnvVar{{Name: "X", ValueFrom: &src}}}
	}
	secret := corev1.LocalObjectReference{Name: "s"}
	for want, spec := range map[string]corev1.Container{
		`configmap "c" not found`: {EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}}},
		`secret "nope" not found`: {EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "nope"}}}}},
		"couldn't find key k in Secret default/s":            from(corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: secret, Key: "k"}}),
		"unsupported fieldPath: spec.nope":                   from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nope"}}),
		`fieldPath "spec.x['a']" does not support subscript`: from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.x['a']"}}),
		"": from(corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: secret, Key: "k", Optional: &optional}}),
	} {
		refs := Refs{Secrets: map[string]*corev1.Secret{"s": {}}}
		env, err := containerEnv(podOf(nil), &spec, refs, Node{}, nil)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want || len(env) > 0 {
			t.Errorf("%q, want %q; %v", got, want, env)
		}
	}
}

func TestFields(t *testing.T) {
	p := podOf(nil)
	p.Labels = map[string]string{"b": "2", "a": "1\n"}
	src := source{pod: p, node: Node{Name: "n", IPs: []string{"1", "2", "3"}}, ips: []string{"x", "y"}}
	for path, want := range map[string]string{
		"metadata.name": "p", "metadata.namespace": "default", "metadata.uid": "u",
		"metadata.labels": "a=\"1\\n\"\nb=\"2\"", "metadata.labels['b']": "2", "metadata.annotations['b']": "",
		"metadata.annotations": "", "spec.nodeName": "n", "status.podIP": "x", "status.podIPs": "x,y",
		"status.hostIP": "1", "status.hostIPs": "1,2",
	} {
		if got, err := src.field(path); got != want || err != nil {
			t.Errorf("%s = %q, %v", path, got, err)
		}
	}
}

func TestConditionTimes(t *testing.T) {
	one, two := time.Unix(1000, 500).UTC(), time.Unix(2000, 0).UTC()
	var all []corev1.PodCondition
	set := func(status corev1.ConditionStatus, reason string, now time.Time) metav1.Time {
		all = putCondition(all, corev1.PodCondition{Type: "T", Status: status, Reason: reason}, now)
		return all[0].LastTransitionTime
	}
	if got := set("True", "", one); got.Unix() != 1000 || got.Nanosecond() != 0 {
		t.Errorf("set at %v", got)
	}
	if got := set("True", "Other", two); got.Unix() != 1000 || all[0].Reason != "Other" {
		t.Errorf("kept status moved to %v", got)
	}
	if got := set("False", "", two); got.Unix() != 2000 {
		t.Errorf("changed status stayed at %v", got)
	}
}

func TestOwnConditionsAreOurs(t *testing.T) {
	m := WithCondition(Memo{}, time.Unix(1, 0), corev1.PodCondition{Type: corev1.PodReady, Status: "True"})
	if len(m.Durable.Conditions) != 0 {
		t.Error("somebody else set Ready")
	}
}

func TestRejectStays(t *testing.T) {
	m := Reject(Memo{}, time.Unix(1, 0), "OutOfcpu", "first")
	m = Reject(m, time.Unix(2, 0), "OutOfmemory", "second")
	if m.Durable.Rejected.Reason != "OutOfcpu" {
		t.Errorf("rejected as %s", m.Durable.Rejected.Reason)
	}
}

// TestDiagrams holds the drawings in the comments against the tables.
func TestDiagrams(t *testing.T) {
	stages := map[string][]string{}
	for _, s := range []Stage{StageWaiting, StageCreating, StageRunning, StageExited} {
		for _, next := range stageMoves(s) {
			stages[orElse(string(s), "Waiting")] = append(stages[orElse(string(s), "Waiting")], orElse(string(next), "Waiting"))
		}
	}
	phases := map[string][]string{"Succeeded": nil, "Failed": nil}
	for _, p := range []corev1.PodPhase{"", corev1.PodPending, corev1.PodRunning} {
		for _, next := range phaseMoves(p) {
			phases[orElse(string(p), "none")] = append(phases[orElse(string(p), "none")], string(next))
		}
	}
	for file, want := range map[string]map[string][]string{"memo.go": stages, "phase.go": phases} {
		if diff := cmp.Diff(sorted(want), sorted(drawing(t, file))); diff != "" {
			t.Errorf("%s draws something else: %s", file, diff)
		}
	}
}

// drawing reads the lines "From -> To, To" of a file's comments.
func drawing(t *testing.T, file string) map[string][]string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	moves := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^//\t(\w+) +->(.*)$`).FindAllStringSubmatch(string(text), -1) {
		moves[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ' ' || r == ',' })
	}
	return moves
}

func sorted(m map[string][]string) map[string][]string {
	out := map[string][]string{}
	for k, v := range m {
		out[k] = append([]string{}, v...)
		slices.Sort(out[k])
	}
	return out
}
