package pod

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// TestAnyLife lives random pods in a random world: effects that fail before or
// after they happened or hang, crashes, lost sandboxes, reboots, restarts of
// podd, objects that come and go, clocks that jump. At each step everything that
// is promised of a decision has to hold; and once the faults stop, the pod comes
// to rest, and once it is deleted, it goes. -rapid.checks says how many lives,
// and make simulate runs many. A life that goes wrong prints itself as a
// scenario, which testdata can keep.
func TestAnyLife(t *testing.T) {
	var lives, hours float64
	least := math.Inf(1)
	rapid.Check(t, func(t *rapid.T) {
		lived := anyLife(t).Hours()
		lives, hours, least = lives+1, hours+lived, min(least, lived)
	})
	t.Logf("%.0f lives, %.0f virtual hours", lives, hours)
	if least < leastLife.Hours() { // a thousand hours in a hundred lives
		t.Errorf("a life was of %v hours", least)
	}
}

// FuzzAnyLife is the same, its choices made by the fuzzer.
func FuzzAnyLife(f *testing.F) { f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { anyLife(t) })) }

// leastLife is how long every life is at least.
const leastLife = 10 * time.Hour

func anyLife(t *rapid.T) time.Duration {
	l := newLife(t, drawPod(t))
	defer l.tell()
	l.drawRefs()
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		l.step()
	}
	for l.w.lived < leastLife {
		l.live()
	}
	l.calm()
	l.deleteAndLeave()
	l.over = true
	return l.w.lived
}

// life is a pod in a world, driven by rapid. All that it does is a command of
// the script of a scenario.
type life struct {
	t      *rapid.T
	s      *scenario
	w      *world
	script []string
	over   bool
}

func newLife(t *rapid.T, p *corev1.Pod) *life {
	files := map[string]string{
		"cm-1.yaml":   "kind: ConfigMap\nmetadata: {name: cm}\ndata: {k: \"1\"}\n",
		"cm-2.yaml":   "kind: ConfigMap\nmetadata: {name: cm}\ndata: {k: \"2\"}\n",
		"secret.yaml": "kind: Secret\nmetadata: {name: secret}\nstringData: {k: v}\n",
		"pod.yaml":    podYAML(t, p),
	}
	s := newScenario(t, files)
	return &life{t: t, s: s, w: s.w}
}

func podYAML(t fataler, p *corev1.Pod) string {
	text, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// do is one command.
func (l *life) do(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	l.script = append(l.script, line)
	words := strings.Fields(line)
	l.s.out = nil
	l.s.command(words[0], words[1:])
	for _, text := range l.w.wrong {
		l.t.Error(text)
	}
	if len(l.w.wrong) > 0 {
		l.t.FailNow()
	}
}

// keep is where a life that fails is written.
var keep = flag.String("keep", "", "write a life that fails to this file, as a scenario")

// tell prints a life that did not end as it should. The last one that rapid
// tries is the shortest.
func (l *life) tell() {
	if l.over {
		return
	}
	text := archive(l.s.files, l.script)
	l.t.Logf("As a scenario, for pod/testdata and go test ./pod -run TestScenarios -rewrite (-keep FILE writes it):\n%s", text)
	if *keep == "" {
		return
	}
	if err := os.WriteFile(*keep, []byte(text), 0o644); err != nil {
		l.t.Log(err)
	}
}

// chance is true that often.
func (l *life) chance(of float64, what string) bool {
	return rapid.Float64Range(0, 1).Draw(l.t, what) < of
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

// drawRefs lets the objects that the pod refers to come and go, and what it waits
// for before it starts and ends.
func (l *life) drawRefs() {
	l.do("%s", rapid.SampledFrom([]string{"object cm-1.yaml", "object cm-2.yaml", "remove configmap cm"}).Draw(l.t, "configMap"))
	l.do("%s", rapid.SampledFrom([]string{"object secret.yaml", "remove secret secret"}).Draw(l.t, "secret"))
	l.do("standing path/a %s", rapid.SampledFrom([]string{"met", "absent"}).Draw(l.t, "standing"))
	l.do("end-first %s", rapid.SampledFrom([]string{"", "", "", "", "default/other"}).Draw(l.t, "others"))
}

// step is one of the things that may happen, by how often they do.
func (l *life) step() {
	t := l.t
	switch n := rapid.IntRange(0, 99).Draw(t, "step"); {
	case n < 20:
		l.do("launch")
		l.land()
	case n < 30:
		l.do("launch")
	case n < 40:
		l.land()
	case n < 50:
		l.do("wait %ds", rapid.IntRange(1, 400).Draw(t, "seconds"))
	case n < 60:
		l.exitSome()
	case n < 68:
		kind := rapid.SampledFrom(allKinds()).Draw(t, "kind")
		l.do("fail %s %s fault", kind, rapid.SampledFrom([]string{"", "after", "3"}).Draw(t, "how"))
	case n < 72:
		l.crash()
	case n < 75:
		l.crash()
		l.do("reboot")
	case n < 79:
		l.lose()
	case n < 83:
		l.drawRefs()
	case n < 86:
		l.do("clock %dh", rapid.IntRange(-1000, 1000).Draw(t, "jump"))
	case n < 88:
		l.newImage()
	case n < 90:
		l.debug()
	case n < 94:
		l.turnProbe()
	case n < 97:
		l.turnImages()
	case n < 98:
		l.do("stubborn app0")
	default:
		l.do("delete 30s")
	}
	l.do("decide")
}

func allKinds() []Kind {
	return []Kind{
		CreateCgroup, RemoveCgroup, SetupVolume, RemoveVolumes, SetupNetwork, RemoveNetwork, CreateSandbox, RemoveSandbox,
		PullImage, CreateContainer, StartContainer, SignalContainer, ReapContainer, RemoveContainer, RunProbe, RunHook, RemoveLogs,
	}
}

// land ends some of what is under way, in any order.
func (l *life) land() {
	var some []string
	for _, subject := range rapid.Permutation(sortedSubjects(l.w.flying)).Draw(l.t, "order") {
		if l.chance(0.7, "lands") {
			some = append(some, string(subject))
		}
	}
	if len(some) > 0 {
		l.do("land %s", strings.Join(some, " "))
	}
}

func (l *life) crash() {
	var happened []string
	for _, subject := range sortedSubjects(l.w.flying) {
		if rapid.Bool().Draw(l.t, "happened") {
			happened = append(happened, string(subject))
		}
	}
	l.do("crash %s", strings.Join(happened, " "))
}

func (l *life) exitSome() {
	names := map[string]bool{}
	for _, c := range l.w.in.Seen.Containers {
		if c.State == Running {
			names[c.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if rapid.Bool().Draw(l.t, "exits") {
			l.do("exit %s %d", name, rapid.SampledFrom([]int{0, 1, 137}).Draw(l.t, "code"))
		}
	}
}

func (l *life) lose() {
	what := rapid.SampledFrom([]string{"sandbox", "network", "container", "volumes"}).Draw(l.t, "lost")
	if what != "container" {
		l.do("lose %s", what)
		return
	}
	if all := l.w.in.Seen.Containers; len(all) > 0 {
		l.do("lose container %s", rapid.SampledFrom(all).Draw(l.t, "which").Name)
	}
}

func (l *life) newImage() {
	p := l.w.in.Pod.DeepCopy()
	c := &p.Spec.Containers[rapid.IntRange(0, len(p.Spec.Containers)-1).Draw(l.t, "which")]
	c.Image = rapid.SampledFrom([]string{"a:1", "b:1", "c:1"}).Draw(l.t, "image")
	l.update(p)
}

// update gives the pod another spec.
func (l *life) update(p *corev1.Pod) {
	p.Generation++
	name := fmt.Sprintf("pod-%d.yaml", p.Generation)
	l.s.files[name] = podYAML(l.t, p)
	l.do("update %s", name)
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
	l.update(p)
}

func (l *life) turnProbe() {
	kind := rapid.SampledFrom([]ProbeKind{Startup, Liveness, Readiness}).Draw(l.t, "probe")
	if _, bad := l.w.probes[SubjectProbe("app0", kind)]; bad {
		l.do("probe app0 %s", kind)
	} else {
		l.do("probe app0 %s down", kind)
	}
}

func (l *life) turnImages() {
	if _, gone := l.w.absent["a:1"]; gone {
		l.do("image a:1")
		return
	}
	l.do("image a:1 unreachable")
	l.do("lose image a:1")
}

// live lets hours pass in which little happens; what is under way at their
// beginning may hang. What costs time to check is checked at their beginning and
// end, the rest all the time.
func (l *life) live() {
	if l.chance(0.7, "lands") {
		l.do("land")
	}
	for _, happens := range []func(){l.exitSome, l.turnProbe, l.turnImages, l.drawRefs, l.crash} {
		if l.chance(0.2, "happens") {
			happens()
		}
	}
	l.advance(rapid.IntRange(1, 240).Draw(l.t, "minutes"))
}

func (l *life) advance(minutes int) {
	l.w.careful = false
	l.do("advance %dm", minutes)
	l.w.careful = true
}

// calm ends all faults and brings everything that may be missing: the pod has
// to come to rest, with no action wanted but probes, and not in a hot loop.
func (l *life) calm() {
	l.do("land")
	for _, kind := range allKinds() {
		l.do("heal %s", kind)
	}
	for _, kind := range []ProbeKind{Startup, Liveness, Readiness} {
		l.do("probe app0 %s", kind)
	}
	for _, line := range []string{
		"image a:1", "have a:1", "have b:1", "have c:1", "object cm-1.yaml", "object secret.yaml", "standing path/a met", "end-first",
	} {
		l.do("%s", line)
	}
	for range 6 {
		l.advance(6)
		l.finishInits()
	}
	l.advance(6)
	l.do("at-rest")
}

// finishInits lets the init containers that run succeed.
func (l *life) finishInits() {
	for range l.w.in.Pod.Spec.InitContainers {
		for _, spec := range l.w.in.Pod.Spec.InitContainers {
			if l.w.running(spec.Name) != nil && !isSidecar(&spec) {
				l.do("exit %s 0", spec.Name)
				l.do("settle")
			}
		}
	}
}

// deleteAndLeave deletes the pod: in the end nothing of it is left.
func (l *life) deleteAndLeave() {
	l.do("delete 30s")
	l.do("stubborn app0")
	l.advance(6)
	l.do("all-gone")
}
