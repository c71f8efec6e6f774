package pod

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

var rewrite = flag.Bool("rewrite", false, "write what the scenarios print into testdata")

// scenario is one testdata/*.txt: a txtar archive of a pod.yaml, other objects
// and a script. Every line of the script is a command; what it prints follows,
// each line after "> ".
//
//	settle                decide and do until nothing is left to do
//	advance 10s           let time pass, settling whenever a wake is due
//	decide                decide once and print what is wanted
//	step                  decide once and do what is wanted
//	fail KIND [N|always] [after] [reason=R] TEXT
//	                      let the next actions of a kind fail, before or after
//	                      their effect; heal KIND ends it
//	exit C CODE [TEXT]    end a container's process; oom C: by the OOM killer
//	lose sandbox|network|cgroup|volumes|container C|image REF
//	reboot, restart       of the host, of podd
//	clock -1h             set the clock; wait 10s lets time pass, unseen
//	object FILE, remove KIND NAME
//	image REF TEXT        the reference cannot be pulled; image REF: it can
//	have REF              the image is there
//	probe C KIND [TEXT]   the probe fails with TEXT, without it succeeds
//	stubborn C            it does not end on TERM; on-term C CODE: so it does
//	update FILE           another pod.yaml
//	delete 30s [force], reject REASON TEXT, condition TYPE STATUS
//	standing COND met|HOW how a start condition stands; end-first [POD...] are
//	                      the pods that have to end first
//	drop-logs TEXT        why the logs of the finished pod are to go
//	shutdown 60s [30s POD...], shutdown off
//	                      the machine goes down: what runs is killed after 60s,
//	                      and other pods are waited for until 30s are over
//	orphan                the object and the memo are gone; forget: the memo
//	launch                start what is wanted; land [SUBJECT...] ends it, all of
//	                      it without a subject; crash [SUBJECT...] kills podd,
//	                      of what is under way only these having happened
//	at-rest, all-gone     check the pod's end
//	status, conditions, config C, sandbox, volume V, probes
//	                      print more
type scenario struct {
	t     fataler
	files map[string]string
	w     *world
	start time.Time
	out   []string
	shown string
}

var scenarioStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { runScenario(t, path) })
	}
}

func runScenario(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	var script *txtar.File
	for i := range archive.Files {
		f := &archive.Files[i]
		files[f.Name] = string(f.Data)
		if f.Name == "script" {
			script = f
		}
	}
	s := newScenario(t, files)
	s.w.trace = func(text string) { s.print("%s", text) }
	got := s.run(string(script.Data))
	for _, text := range s.w.wrong {
		t.Error(text)
	}
	if got == string(script.Data) {
		return
	}
	if !*rewrite {
		t.Errorf("%s prints something else (-rewrite accepts it):\n%s", path, got)
		return
	}
	script.Data = []byte(got)
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func testNode() Node {
	var n Node
	n.Name, n.Hostname, n.IPs = "node-1", "node-1", []string{"192.0.2.1"}
	n.ResolvConf = "nameserver 192.0.2.53\nsearch example.org\n"
	return n
}

// shutdown has the machine go down, or stay up.
func (s *scenario) shutdown(args []string) {
	w := s.w
	if args[0] == "off" {
		w.in.Shutdown = nil
		return
	}
	w.in.Shutdown = &Shutdown{At: w.now, KillAt: w.now.Add(s.duration(args[0])), TurnAt: w.now}
	if len(args) > 1 {
		w.in.Shutdown.TurnAt, w.in.Shutdown.First = w.now.Add(s.duration(args[1])), args[2:]
	}
}

func (s *scenario) run(script string) string {
	var b strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "> ") {
			continue
		}
		b.WriteString(line)
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if words := strings.Fields(line); len(words) > 0 {
			s.out = nil
			s.command(words[0], words[1:])
			for _, text := range s.out {
				b.WriteString("> " + text + "\n")
			}
		}
	}
	return b.String()
}

func (s *scenario) print(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		s.out = append(s.out, fmt.Sprintf("%7s %s", s.w.now.Sub(s.start), strings.TrimRight(line, "\n")))
	}
}

// raw prints without the time.
func (s *scenario) raw(text string) {
	for line := range strings.Lines(text) {
		s.out = append(s.out, "  "+strings.TrimRight(line, "\n"))
	}
}

func (s *scenario) command(name string, args []string) {
	w := s.w
	switch name {
	case "settle":
		w.settle()
		s.summary()
	case "advance":
		w.advance(s.duration(strings.Join(args, "")))
		s.summary()
	case "decide":
		out := w.decide()
		for _, a := range out.Do {
			s.print("wants %s: %s", describe(a), a.Reason)
		}
		s.summary()
	case "step":
		for _, a := range w.decide().Do {
			w.do(a)
		}
	default:
		s.happen(name, args)
	}
}

// happen is what comes from outside.
func (s *scenario) happen(name string, args []string) {
	arg := func(i int) string { return strings.Join(args[min(i, len(args)):min(i+1, len(args))], "") }
	rest := func(i int) string { return strings.Join(args[min(i, len(args)):], " ") }
	w := s.w
	switch name {
	case "fail":
		s.fail(Kind(arg(0)), args[1:])
	case "heal":
		delete(w.always, Kind(arg(0)))
		delete(w.faults, Kind(arg(0)))
	case "exit", "oom":
		s.exit(name, arg(0), arg(1), rest(2))
	case "lose":
		s.lose(arg(0), arg(1))
	case "reboot":
		w.reboot()
	case "restart":
		w.restartPodd()
	case "wait":
		w.pass(w.now.Add(s.duration(arg(0))))
	case "clock":
		w.now = w.now.Add(s.duration(arg(0)))
	case "object":
		s.object(arg(0))
	case "remove":
		s.removeObject(arg(0), arg(1))
	case "image":
		if w.absent[arg(0)] = rest(1); rest(1) == "" {
			delete(w.absent, arg(0))
		}
	case "have":
		w.in.Seen.Images[arg(0)] = Image{ID: arg(0) + "@sha256:0", User: arg(1)}
	case "probe":
		subject := SubjectProbe(arg(0), ProbeKind(arg(1)))
		if w.probes[subject] = rest(2); rest(2) == "" {
			delete(w.probes, subject)
		}
	case "stubborn":
		w.stubborn[arg(0)] = true
	case "on-term":
		w.exits[arg(0)], _ = strconv.Atoi(arg(1))
	case "update":
		w.in.Pod = s.pod(arg(0))
	case "delete":
		at := w.now
		if w.in.Deleted != nil {
			at = w.in.Deleted.At
		}
		w.in.Deleted = &Deletion{At: at, Grace: s.duration(arg(0)), Force: arg(1) == "force"}
	case "reject":
		w.in.Memo = Reject(w.in.Memo, w.now, arg(0), rest(1))
	case "condition":
		w.in.Memo = WithCondition(w.in.Memo, w.now, corev1.PodCondition{
			Type: corev1.PodConditionType(arg(0)), Status: corev1.ConditionStatus(arg(1)),
		})
	case "standing":
		s.standing(arg(0), rest(1))
	case "end-first":
		w.in.Refs.EndFirst = args
	case "drop-logs":
		w.in.DropLogs = rest(0)
	case "shutdown":
		s.shutdown(args)
	case "forget":
		w.in.Memo = Memo{}
	case "orphan":
		w.in.Pod = &corev1.Pod{ObjectMeta: w.in.Pod.ObjectMeta}
		w.in.Memo, w.in.Deleted = Memo{}, &Deletion{At: w.now, Grace: 30 * time.Second}
	default:
		if !s.fly(name, args) {
			s.show(name, arg(0))
		}
	}
}

func (s *scenario) standing(condition, how string) {
	c, err := parseStartCondition(condition, "default")
	if err != nil {
		s.t.Fatal(err)
	}
	standings := cloneMap(s.w.in.Refs.Standings)
	standings[c.String()] = Standing{Met: how == "met", Detail: how}
	s.w.in.Refs.Standings = standings
}

func (s *scenario) show(name, arg string) {
	out := Decide(s.input())
	switch name {
	case "status":
		s.yaml(out.Status)
	case "conditions":
		for _, c := range out.Status.Conditions {
			s.raw(strings.TrimRight(fmt.Sprintf("%s=%s since %s %s %s", c.Type, c.Status,
				c.LastTransitionTime.Sub(s.start), c.Reason, c.Message), " "))
		}
	case "config", "sandbox", "volume", "probes", "network", "cgroup", "pull":
		for _, a := range out.Do {
			s.showAction(name, arg, a)
		}
	default:
		s.t.Fatalf("no such command: %s", name)
	}
}

func (s *scenario) showAction(name, arg string, a Action) {
	switch {
	case name == "config" && a.Container != nil && a.Container.Container.Name == arg:
		c := *a.Container
		c.Pod, c.Container = nil, nil
		s.yaml(c)
	case name == "sandbox" && a.Sandbox != nil:
		c := *a.Sandbox
		c.Pod = nil
		s.yaml(c)
	case name == "volume" && a.Volume != nil && a.Volume.Volume.Name == arg:
		for _, path := range sortedKeys(a.Volume.Files) {
			f := a.Volume.Files[path]
			s.raw(fmt.Sprintf("%s %o %q", path, f.Mode, f.Data))
		}
	case name == "probes" && a.Probe != nil:
		s.yaml(a.Probe)
	case name == "network" && a.Network != nil:
		s.yaml(a.Network)
	case name == "cgroup" && a.Cgroup != nil:
		s.yaml(a.Cgroup)
	case name == "pull" && a.Pull != nil:
		s.raw(fmt.Sprintf("%s %s %q", a.Pull.Ref, a.Pull.Policy, a.Pull.Secrets))
	}
}

func (s *scenario) input() Input {
	in := s.w.in
	in.Now = s.w.now
	return in
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (s *scenario) yaml(v any) {
	text, err := yaml.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	s.raw(string(text))
}

// summary prints the status in short, if it is news.
func (s *scenario) summary() {
	st := s.w.last.Status
	text := "= " + string(st.Phase)
	if st.Reason != "" {
		text += " " + st.Reason + " " + strconv.Quote(st.Message)
	}
	for _, c := range st.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			text += " ready"
		}
	}
	for _, cs := range slices.Concat(st.InitContainerStatuses, st.ContainerStatuses, st.EphemeralContainerStatuses) {
		text += "\n| " + containerSummary(cs)
	}
	if s.w.last.Gone {
		text = "= gone, " + text[2:]
	}
	if wake := s.w.last.Wake; !wake.IsZero() {
		text += "\n| wakes at " + wake.Sub(s.start).String()
	}
	if text != s.shown {
		s.shown = text
		s.raw(text)
	}
}

func containerSummary(cs corev1.ContainerStatus) string {
	text := fmt.Sprintf("%s#%d ", cs.Name, cs.RestartCount)
	switch st := cs.State; {
	case st.Running != nil:
		text += "running"
		if cs.Ready {
			text += " ready"
		} else if cs.Started == nil || !*cs.Started {
			text += " not started"
		}
	case st.Terminated != nil:
		text += fmt.Sprintf("terminated %d %s %s", st.Terminated.ExitCode, st.Terminated.Reason, st.Terminated.Message)
	case st.Waiting != nil:
		text += strings.TrimSpace(fmt.Sprintf("waiting %s %s", st.Waiting.Reason, st.Waiting.Message))
	}
	if last := cs.LastTerminationState.Terminated; last != nil {
		text += fmt.Sprintf(" (last %d %s)", last.ExitCode, last.Reason)
	}
	return strings.TrimSpace(text)
}

func (s *scenario) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *scenario) fail(k Kind, args []string) {
	times, f := 1, fault{}
	var words []string
	for _, a := range args {
		n, err := strconv.Atoi(a)
		switch {
		case a == "always":
			times = 0
		case err == nil && len(words) == 0:
			times = n
		case a == "after":
			f.after = true
		case strings.HasPrefix(a, "reason="):
			f.reason = a[len("reason="):]
		default:
			words = append(words, a)
		}
	}
	f.message = strings.Join(words, " ")
	if times == 0 {
		s.w.always[k] = f
	}
	s.w.faults[k] = slices.Repeat([]fault{f}, times)
}

func (s *scenario) exit(how, name, code, message string) {
	c := s.w.running(name)
	if c == nil {
		s.t.Fatalf("%s does not run", name)
	}
	n, _ := strconv.Atoi(code)
	if how == "oom" {
		n = 137
	}
	s.w.exit(c.ID, n)
	s.w.edit(c.ID, func(c *Container) { c.OOMKilled, c.Message = how == "oom", message })
}

func (s *scenario) lose(what, name string) {
	seen := &s.w.in.Seen
	switch what {
	case "sandbox":
		seen.Sandboxes = slices.Clone(seen.Sandboxes)
		for i := range seen.Sandboxes {
			seen.Sandboxes[i].State = Exited
		}
	case "network":
		seen.Network = nil
	case "cgroup":
		seen.Cgroup = false
	case "volumes":
		seen.Volumes = map[string]string{}
	case "image":
		seen.Images = cloneMap(seen.Images)
		delete(seen.Images, name)
	case "container":
		s.w.reboots++ // it may start once more
		seen.Containers = slices.DeleteFunc(slices.Clone(seen.Containers), func(c Container) bool { return c.Name == name })
	}
}

func (s *scenario) object(file string) {
	text := []byte(s.files[file])
	var head struct{ Kind string }
	refs := &s.w.in.Refs
	var err error
	if err = yaml.Unmarshal(text, &head); err != nil {
		s.t.Fatal(err)
	}
	switch head.Kind {
	case "ConfigMap":
		cm := &corev1.ConfigMap{}
		err = yaml.UnmarshalStrict(text, cm)
		refs.ConfigMaps = cloneMap(refs.ConfigMaps)
		refs.ConfigMaps[cm.Name] = cm
	case "Secret":
		secret := &corev1.Secret{}
		err = yaml.UnmarshalStrict(text, secret)
		for k, v := range secret.StringData {
			secret.Data = cloneMap(secret.Data)
			secret.Data[k] = []byte(v)
		}
		refs.Secrets = cloneMap(refs.Secrets)
		refs.Secrets[secret.Name] = secret
	default:
		err = fmt.Errorf("%s: unknown kind %q", file, head.Kind)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scenario) removeObject(kind, name string) {
	refs := &s.w.in.Refs
	refs.ConfigMaps, refs.Secrets = cloneMap(refs.ConfigMaps), cloneMap(refs.Secrets)
	if kind == "configmap" {
		delete(refs.ConfigMaps, name)
	} else {
		delete(refs.Secrets, name)
	}
}

// pod reads a manifest and fills in the defaults that matter here.
func (s *scenario) pod(file string) *corev1.Pod {
	p := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(s.files[file]), p); err != nil {
		s.t.Fatalf("%s: %v", file, err)
	}
	setDefaults(p)
	return p
}

func setDefaults(p *corev1.Pod) {
	if p.Namespace == "" {
		p.Namespace = "default"
	}
	if p.UID == "" {
		p.UID = types.UID("uid-" + p.Name)
	}
	if p.Spec.RestartPolicy == "" {
		p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if p.Spec.DNSPolicy == "" {
		p.Spec.DNSPolicy = corev1.DNSClusterFirst
	}
	if p.Spec.TerminationGracePeriodSeconds == nil {
		grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
		p.Spec.TerminationGracePeriodSeconds = &grace
	}
	for _, c := range Containers(p) {
		if c.Image == "" {
			c.Image = "busybox:1"
		}
		if c.ImagePullPolicy == "" {
			c.ImagePullPolicy = corev1.PullIfNotPresent
		}
		for _, probe := range [...]*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			probeDefaults(probe)
		}
	}
}

func probeDefaults(p *corev1.Probe) {
	if p == nil {
		return
	}
	for field, value := range map[*int32]int32{
		&p.PeriodSeconds: 10, &p.TimeoutSeconds: 1, &p.SuccessThreshold: 1, &p.FailureThreshold: 3,
	} {
		if *field == 0 {
			*field = value
		}
	}
}
