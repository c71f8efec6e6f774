package pod

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

// TestAnyLife lives random pods in a random world: effects that fail before or
// after they happened, crashes, lost sandboxes, reboots, restarts of podd,
// objects that come and go, clocks that jump. After each step everything that
// is promised of a decision has to hold; and once the faults stop, the pod comes
// to rest, and once it is deleted, it goes.
func TestAnyLife(t *testing.T) { rapid.Check(t, anyLife) }

// FuzzAnyLife is the same, its choices made by the fuzzer.
func FuzzAnyLife(f *testing.F) { f.Fuzz(rapid.MakeFuzz(anyLife)) }

func anyLife(t *rapid.T) {
	l := newLife(t)
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		l.step()
	}
	l.calm()
	l.deleteAndLeave()
}

// life is a pod in a world, driven by rapid.
type life struct {
	t *rapid.T
	w *world
	// flying are the actions under way: started, and not yet done.
	flying map[Subject]Action
}

func newLife(t *rapid.T) *life {
	p := drawPod(t)
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return &life{t: t, flying: map[Subject]Action{}, w: newWorld(Input{Now: start, Pod: p, Node: testNode(), Refs: drawRefs(t)})}
}

func drawPod(t *rapid.T) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "u"}}
	p.Spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever,
	}).Draw(t, "policy")
	if rapid.Float64Range(0, 1).Draw(t, "deadline") < 0.2 {
		seconds := rapid.Int64Range(1, 3000).Draw(t, "deadlineSeconds")
		p.Spec.ActiveDeadlineSeconds = &seconds
	}
	p.Annotations = rapid.SampledFrom([]map[string]string{
		nil, nil, nil, {StartAfterAnnotation: "path/a"}, {StartAfterAnnotation: "path/a;timeout=50s"},
		{StartAfterAnnotation: "path/a;timeout=50s;then=start"},
	}).Draw(t, "startAfter")
	p.Spec.HostNetwork = rapid.Float64Range(0, 1).Draw(t, "hostNetwork") < 0.2
	if rapid.Bool().Draw(t, "volume") {
		p.Spec.Volumes = []corev1.Volume{
			{Name: "e", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "c", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "cm"},
			}}},
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "inits") {
		sidecar := rapid.Bool().Draw(t, "sidecar")
		init := drawContainer(t, fmt.Sprintf("init%d", i), sidecar)
		if always := corev1.ContainerRestartPolicyAlways; sidecar {
			init.RestartPolicy = &always
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, init)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "apps") {
		p.Spec.Containers = append(p.Spec.Containers, drawContainer(t, fmt.Sprintf("app%d", i), true))
	}
	setDefaults(p)
	return p
}

func drawContainer(t *rapid.T, name string, probes bool) corev1.Container {
	c := corev1.Container{Name: name, Image: rapid.SampledFrom([]string{"a:1", "b:1"}).Draw(t, "image")}
	c.ImagePullPolicy = rapid.SampledFrom([]corev1.PullPolicy{
		corev1.PullIfNotPresent, corev1.PullIfNotPresent, corev1.PullAlways, corev1.PullNever,
	}).Draw(t, "pull")
	if rapid.Float64Range(0, 1).Draw(t, "env") < 0.2 {
		c.Env = []corev1.EnvVar{{Name: "S", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "secret"}, Key: "k",
		}}}}
	}
	drawRestarts(t, &c)
	if probes {
		c.StartupProbe = drawProbe(t, "startup")
		c.LivenessProbe = drawProbe(t, "liveness")
		c.ReadinessProbe = drawProbe(t, "readiness")
		c.Lifecycle = drawLifecycle(t)
	}
	return c
}

// drawRestarts gives a container a policy of its own, with a rule at times.
func drawRestarts(t *rapid.T, c *corev1.Container) {
	if rapid.Float64Range(0, 1).Draw(t, "ownPolicy") > 0.3 {
		return
	}
	policy := rapid.SampledFrom([]corev1.ContainerRestartPolicy{
		corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure,
	}).Draw(t, "containerPolicy")
	c.RestartPolicy = &policy
	action := rapid.SampledFrom([]corev1.ContainerRestartRuleAction{
		"", corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers,
	}).Draw(t, "action")
	on := rapid.SampledFrom([]corev1.ContainerRestartRuleOnExitCodes{
		{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{1}},
		{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{137, 143}},
		{Operator: corev1.ContainerRestartRuleOnExitCodesOpNotIn, Values: []int32{0}}, // success is for good
	}).Draw(t, "codes")
	if action != "" {
		c.RestartPolicyRules = []corev1.ContainerRestartRule{{Action: action, ExitCodes: &on}}
	}
}

func drawLifecycle(t *rapid.T) *corev1.Lifecycle {
	hook := &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}
	return rapid.SampledFrom([]*corev1.Lifecycle{
		nil, nil, {PostStart: hook}, {PreStop: hook}, {PostStart: hook, PreStop: hook},
	}).Draw(t, "lifecycle")
}

func drawProbe(t *rapid.T, name string) *corev1.Probe {
	if !rapid.Bool().Draw(t, name) {
		return nil
	}
	p := &corev1.Probe{
		InitialDelaySeconds: rapid.SampledFrom([]int32{0, 5}).Draw(t, "delay"),
		PeriodSeconds:       rapid.SampledFrom([]int32{7, 60}).Draw(t, "period"),
		FailureThreshold:    rapid.Int32Range(1, 3).Draw(t, "threshold"),
	}
	if rapid.Bool().Draw(t, "tcp") {
		p.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}
	} else {
		p.Exec = &corev1.ExecAction{Command: []string{"true"}}
	}
	return p
}

func drawRefs(t *rapid.T) Refs {
	var r Refs
	if rapid.Bool().Draw(t, "configMap") {
		value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
		r.ConfigMaps = map[string]*corev1.ConfigMap{"cm": {Data: map[string]string{"k": value}}}
	}
	if rapid.Bool().Draw(t, "secret") {
		r.Secrets = map[string]*corev1.Secret{"secret": {Data: map[string][]byte{"k": []byte("v")}}}
	}
	if rapid.Bool().Draw(t, "standing") {
		r.Standings = map[string]Standing{"path/a": {Met: true}}
	}
	if rapid.Float64Range(0, 1).Draw(t, "others") < 0.2 {
		r.EndFirst = []string{"default/other"}
	}
	return r
}

// steps are the things that may happen, by how often they do.
func (l *life) step() {
	w, t := l.w, l.t
	switch n := rapid.IntRange(0, 99).Draw(t, "step"); {
	case n < 20:
		l.launch()
		l.land()
	case n < 30:
		l.launch()
	case n < 40:
		l.land()
	case n < 50:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second)
	case n < 60:
		l.exitSome()
	case n < 68:
		kind := rapid.SampledFrom(allKinds()).Draw(t, "kind")
		w.faults[kind] = append(w.faults[kind], fault{message: "fault", after: rapid.Bool().Draw(t, "after")})
	case n < 72:
		l.crash()
	case n < 75:
		l.crash()
		w.reboot()
	case n < 79:
		l.lose()
	case n < 83:
		w.in.Refs = drawRefs(t)
	case n < 86:
		w.now = w.now.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "jump")) * time.Hour)
	case n < 88:
		l.newImage()
	case n < 90:
		l.debug()
	case n < 94:
		l.turnProbe()
	case n < 97:
		l.turnImages()
	case n < 98:
		w.stubborn["app0"] = !w.stubborn["app0"]
	default:
		w.in.Deleted = &Deletion{At: w.now, Grace: 30 * time.Second}
	}
	l.decide()
}

func allKinds() []Kind {
	return []Kind{
		CreateCgroup, RemoveCgroup, SetupVolume, RemoveVolumes, SetupNetwork, RemoveNetwork, CreateSandbox, RemoveSandbox,
		PullImage, CreateContainer, StartContainer, SignalContainer, ReapContainer, RemoveContainer, RunProbe, RunHook, RemoveLogs,
	}
}

// decide looks, and holds what it sees against the rest of the promises: the
// same again for the same input, an input left alone, a memo that survives its
// way through JSON.
func (l *life) decide() Output {
	l.w.in.InFlight = sortedSubjects(l.flying)
	in := l.w.in
	in.Now = l.w.now
	before := dump(in)
	one, two := Decide(in), Decide(in)
	if !reflect.DeepEqual(one, two) {
		l.t.Fatalf("two decisions on one input differ:\n%s\n%s", dump(one), dump(two))
	}
	if after := dump(in); after != before {
		l.t.Fatalf("decide changed its input:\n%s\n%s", before, after)
	}
	l.moves(in.Memo, one.Memo)
	l.w.decide()
	l.reload()
	l.check()
	return one
}

// moves checks that every container kept to the table of stages.
func (l *life) moves(before, after Memo) {
	for name, a := range after.Durable.Containers {
		b := before.Durable.Containers[name]
		if b == nil || b.Stage == a.Stage || reachable(b.Stage, a.Stage, 2) {
			continue
		}
		l.t.Fatalf("%s went from %q to %q", name, b.Stage, a.Stage)
	}
}

// reachable says whether one decision, which may learn and then act, can have
// led from one stage to the other.
func reachable(from, to Stage, moves int) bool {
	for _, next := range stageMoves(from) {
		if next == to || moves > 1 && reachable(next, to, moves-1) {
			return true
		}
	}
	return false
}

// reload sends the durable memo through the disk.
func (l *life) reload() {
	text, err := json.Marshal(l.w.in.Memo.Durable)
	if err != nil {
		l.t.Fatal(err)
	}
	var back Durable
	if err := json.Unmarshal(text, &back); err != nil {
		l.t.Fatal(err)
	}
	if !back.Equal(l.w.in.Memo.Durable) {
		l.t.Fatalf("the memo is not what it was stored as:\n%s", text)
	}
	l.w.in.Memo.Durable = back
}

func (l *life) check() {
	for _, text := range l.w.wrong {
		l.t.Error(text)
	}
	if len(l.w.wrong) > 0 {
		l.t.FailNow()
	}
}

func dump(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// launch starts what is wanted and free, and cancels what may be cancelled and
// is wanted no more, as the shell does.
func (l *life) launch() {
	out := l.decide()
	for _, subject := range sortedSubjects(l.flying) {
		wanted := slices.ContainsFunc(out.Do, func(a Action) bool {
			return a.Subject == subject && a.Kind == l.flying[subject].Kind
		})
		if l.flying[subject].Kind.Cancelable() && !wanted {
			delete(l.flying, subject)
		}
	}
	for _, a := range out.Do {
		if _, busy := l.flying[a.Subject]; !busy {
			l.flying[a.Subject] = a
		}
	}
}

// land ends some of what is under way, in any order.
func (l *life) land() {
	for _, subject := range rapid.Permutation(sortedSubjects(l.flying)).Draw(l.t, "order") {
		if rapid.Float64Range(0, 1).Draw(l.t, "lands") < 0.7 {
			l.finish(subject)
		}
	}
}

func (l *life) finish(subject Subject) {
	memo := l.w.in.Memo
	before := dump(memo)
	l.w.do(l.flying[subject])
	if dump(memo) != before {
		l.t.Fatalf("apply changed its memo: %s", subject)
	}
	delete(l.flying, subject)
	l.check()
}

// crash kills podd: what is under way happens or not, and nobody is told.
func (l *life) crash() {
	for _, subject := range sortedSubjects(l.flying) {
		if rapid.Bool().Draw(l.t, "happened") {
			_, _ = l.w.effect(l.flying[subject])
		}
	}
	clear(l.flying)
	l.w.restartPodd()
}

func sortedSubjects(m map[Subject]Action) []Subject {
	return slices.Sorted(maps.Keys(m))
}

func (l *life) exitSome() {
	for _, c := range slices.Clone(l.w.in.Seen.Containers) {
		if c.State == Running && rapid.Bool().Draw(l.t, "exits") {
			l.w.exit(c.ID, rapid.SampledFrom([]int{0, 1, 137}).Draw(l.t, "code"))
		}
	}
}

func (l *life) lose() {
	seen := &l.w.in.Seen
	switch rapid.IntRange(0, 3).Draw(l.t, "lost") {
	case 0:
		seen.Sandboxes = slices.Clone(seen.Sandboxes)
		for i := range seen.Sandboxes {
			seen.Sandboxes[i].State = Exited
		}
	case 1:
		seen.Network = nil
	case 2:
		seen.Containers = seen.Containers[:len(seen.Containers)/2]
		l.w.reboots++
	case 3:
		seen.Volumes = map[string]string{}
	}
}

func (l *life) newImage() {
	p := l.w.in.Pod.DeepCopy()
	c := &p.Spec.Containers[rapid.IntRange(0, len(p.Spec.Containers)-1).Draw(l.t, "which")]
	c.Image = rapid.SampledFrom([]string{"a:1", "b:1", "c:1"}).Draw(l.t, "image")
	p.Generation++
	l.w.in.Pod = p
}

// debug adds an ephemeral container.
func (l *life) debug() {
	p := l.w.in.Pod.DeepCopy()
	name := fmt.Sprintf("debug%d", len(p.Spec.EphemeralContainers))
	c := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(drawContainer(l.t, name, false))}
	if rapid.Bool().Draw(l.t, "target") {
		c.TargetContainerName = "app0"
	}
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, c)
	p.Generation++
	l.w.in.Pod = p
}

func (l *life) turnProbe() {
	kind := rapid.SampledFrom([]ProbeKind{Startup, Liveness, Readiness}).Draw(l.t, "probe")
	subject := SubjectProbe("app0", kind)
	if _, bad := l.w.probes[subject]; bad {
		delete(l.w.probes, subject)
	} else {
		l.w.probes[subject] = "down"
	}
}

func (l *life) turnImages() {
	w := l.w
	if _, gone := w.absent["a:1"]; gone {
		delete(w.absent, "a:1")
		return
	}
	w.absent["a:1"] = "unreachable"
	w.in.Seen.Images = cloneMap(w.in.Seen.Images)
	delete(w.in.Seen.Images, "a:1")
}

// calm ends all faults and brings everything that may be missing: the pod has
// to come to rest, with no action wanted but probes, and not in a hot loop.
func (l *life) calm() {
	w := l.w
	for _, subject := range sortedSubjects(l.flying) {
		l.finish(subject)
	}
	w.in.InFlight = nil
	clear(w.faults)
	clear(w.absent)
	clear(w.probes)
	w.in.Seen.Images = map[string]Image{"a:1": {ID: "a"}, "b:1": {ID: "b"}, "c:1": {ID: "c"}}
	w.in.Refs = Refs{
		ConfigMaps: map[string]*corev1.ConfigMap{"cm": {Data: map[string]string{"k": "v"}}},
		Secrets:    map[string]*corev1.Secret{"secret": {Data: map[string][]byte{"k": []byte("v")}}},
		Standings:  map[string]Standing{"path/a": {Met: true}},
	}
	for range 6 {
		w.advance(6 * time.Minute)
		l.finishInits()
	}
	w.advance(6 * time.Minute)
	l.check()
	if out := l.decide(); len(out.Do) > 0 && w.in.Deleted == nil {
		l.t.Fatalf("still wants %s", kinds(out.Do))
	}
	l.rest()
}

// rest checks what a pod at rest looks like.
func (l *life) rest() {
	st := l.w.last.Status
	if l.w.in.Deleted != nil {
		return
	}
	switch st.Phase {
	case corev1.PodRunning:
		if l.w.in.Pod.Spec.RestartPolicy != corev1.RestartPolicyAlways {
			return
		}
		for _, c := range st.ContainerStatuses {
			if c.State.Running == nil || !c.Ready {
				l.t.Fatalf("%s does not run in a pod at rest: %s", c.Name, dump(c))
			}
		}
	case corev1.PodPending:
		l.t.Fatalf("pending at rest: %s", dump(st))
	default:
		if seen := l.w.in.Seen; len(seen.Containers)+len(seen.Sandboxes) > 0 || seen.Network != nil || seen.Cgroup || seen.Files {
			l.t.Fatalf("a finished pod leaves something: %s", dump(seen))
		}
	}
}

// finishInits lets the init containers that run succeed.
func (l *life) finishInits() {
	for range l.w.in.Pod.Spec.InitContainers {
		for _, spec := range l.w.in.Pod.Spec.InitContainers {
			if c := l.w.running(spec.Name); c != nil && !isSidecar(&spec) {
				l.w.exit(c.ID, 0)
				l.w.settle()
			}
		}
	}
}

// deleteAndLeave deletes the pod: in the end nothing of it is left.
func (l *life) deleteAndLeave() {
	w := l.w
	if w.in.Deleted == nil {
		w.in.Deleted = &Deletion{At: w.now, Grace: 30 * time.Second}
	}
	w.stubborn["app0"] = true
	w.advance(6 * time.Minute)
	l.check()
	seen := w.in.Seen
	if !w.last.Gone || len(seen.Containers)+len(seen.Sandboxes) > 0 || seen.Network != nil || seen.Files || seen.Logs {
		l.t.Fatalf("not gone: %s %s", dump(seen), kinds(w.last.Do))
	}
	if p := w.last.Status.Phase; !terminal(p) {
		l.t.Fatalf("a pod that is gone is %s", p)
	}
}
