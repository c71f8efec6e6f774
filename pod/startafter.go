package pod

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// StartAfterAnnotation says what has to be so before a pod starts:
//
//	pod/db=Ready,unit/chrony.service=active,path/srv/data;timeout=60s;then=fail
const StartAfterAnnotation = "podd.io/start-after"

// The kinds of start conditions.
const (
	AfterPod    = "pod"
	AfterUnit   = "unit"
	AfterPath   = "path"
	AfterDevice = "device"
	AfterNet    = "net"
	AfterTime   = "time"
)

// What another pod may be waited to be.
const (
	PodStarted   = "Started"
	PodIsReady   = "Ready"
	PodSucceeded = "Succeeded"
)

// StartCondition is one thing that has to be so before a pod starts.
type StartCondition struct {
	// Kind is one of AfterPod and so on.
	Kind string
	// Name is that of a unit, or an absolute path.
	Name string
	// Pod is the other pod, for AfterPod only.
	Pod types.NamespacedName
	// State is what it has to be: PodStarted and so on, "active",
	// "default-route", "synchronised"; empty for paths and devices, which have to
	// be there.
	State string
}

// String is the condition as an annotation may have it.
func (c StartCondition) String() string {
	switch c.Kind {
	case AfterPod:
		return AfterPod + "/" + c.Pod.String() + "=" + c.State
	case AfterUnit:
		return AfterUnit + "/" + c.Name + "=" + c.State
	case AfterNet, AfterTime:
		return c.Kind + "=" + c.State
	}
	return c.Kind + c.Name
}

// StartAfter is what a pod waits for before it starts.
type StartAfter struct {
	Conditions []StartCondition
	// Timeout is how long it waits at most; 0 is for ever.
	Timeout time.Duration
	// StartAnyway has it start after the Timeout; it fails otherwise.
	StartAnyway bool
}

// StartsAfter reads a pod's annotation; without one nothing is waited for. The
// error names the annotation and what is wrong with it.
func StartsAfter(p *corev1.Pod) (StartAfter, error) {
	text := strings.TrimSpace(p.Annotations[StartAfterAnnotation])
	if text == "" {
		return StartAfter{}, nil
	}
	after, err := parseStartAfter(text, p.Namespace)
	if err != nil {
		return StartAfter{}, fmt.Errorf("%s: %w", StartAfterAnnotation, err)
	}
	return after, nil
}

func parseStartAfter(text, namespace string) (after StartAfter, err error) {
	conditions, options, _ := strings.Cut(text, ";")
	for part := range strings.SplitSeq(conditions, ",") {
		c, err := parseStartCondition(strings.TrimSpace(part), namespace)
		if err != nil {
			return after, err
		}
		if slices.Contains(after.Conditions, c) {
			return after, fmt.Errorf("%q is there twice", strings.TrimSpace(part))
		}
		after.Conditions = append(after.Conditions, c)
	}
	return after, after.parseOptions(options)
}

func (a *StartAfter) parseOptions(text string) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if seen[name] {
			return fmt.Errorf("the option %q is there twice", name)
		}
		seen[name] = true
		switch name {
		case "timeout":
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				return fmt.Errorf("timeout=%s: it has to be a time such as 60s or 5m", value)
			}
			a.Timeout = d
		case "then":
			if value != "start" && value != "fail" {
				return fmt.Errorf("then=%s: it has to be start or fail", value)
			}
			a.StartAnyway = value == "start"
		default:
			return fmt.Errorf("%q is no option: there are timeout=DURATION and then=start|fail", strings.TrimSpace(part))
		}
	}
	if seen["then"] && a.Timeout == 0 {
		return fmt.Errorf("then=... says what happens after a timeout: it needs one")
	}
	return nil
}

func parseStartCondition(text, namespace string) (StartCondition, error) {
	name, state, has := strings.Cut(text, "=")
	kind, rest, _ := strings.Cut(name, "/")
	switch kind {
	case AfterPod:
		return afterPod(text, rest, state, namespace)
	case AfterUnit:
		if rest == "" || !strings.Contains(rest, ".") || strings.Contains(rest, "/") || state != "active" {
			return StartCondition{}, fmt.Errorf("%q is not of the form unit/NAME.service=active", text)
		}
		return StartCondition{Kind: AfterUnit, Name: rest, State: state}, nil
	case AfterPath, AfterDevice:
		return afterPath(kind, text, rest, has)
	case AfterNet:
		return afterWord(AfterNet, text, "default-route")
	case AfterTime:
		return afterWord(AfterTime, text, "synchronised")
	}
	return StartCondition{}, fmt.Errorf("%q is no start condition: there are pod/[NAMESPACE/]NAME=Started|Ready|Succeeded, unit/NAME.service=active, path/..., device/..., net=default-route and time=synchronised", text)
}

func afterPod(text, name, state, namespace string) (StartCondition, error) {
	if ns, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, rest
	}
	states := []string{PodStarted, PodIsReady, PodSucceeded}
	if len(validation.IsDNS1123Subdomain(name)) > 0 || len(validation.IsDNS1123Label(namespace)) > 0 || !slices.Contains(states, state) {
		return StartCondition{}, fmt.Errorf("%q is not of the form pod/[NAMESPACE/]NAME=%s", text, strings.Join(states, "|"))
	}
	return StartCondition{Kind: AfterPod, Pod: types.NamespacedName{Namespace: namespace, Name: name}, State: state}, nil
}

// afterPath: the path is what follows the kind, its slash included. A device
// may be named without its /dev.
func afterPath(kind, text, rest string, state bool) (StartCondition, error) {
	name := path.Clean("/" + rest)
	if state || name == "/" {
		return StartCondition{}, fmt.Errorf("%q is not of the form %s/PATH", text, kind)
	}
	if kind == AfterDevice && !strings.HasPrefix(name, "/dev/") {
		name = "/dev" + name
	}
	return StartCondition{Kind: kind, Name: name}, nil
}

func afterWord(kind, text, state string) (StartCondition, error) {
	if text != kind+"="+state {
		return StartCondition{}, fmt.Errorf("%q is not %s=%s", text, kind, state)
	}
	return StartCondition{Kind: kind, State: state}, nil
}

// OtherPods are the pods that are waited for.
func (a StartAfter) OtherPods() []types.NamespacedName {
	var all []types.NamespacedName
	for _, c := range a.Conditions {
		if c.Kind == AfterPod {
			all = append(all, c.Pod)
		}
	}
	return all
}

// Standing says whether a start condition is met, and how it stands.
type Standing struct {
	Met bool
	// Detail is how it stands, for people: "it is Pending". It may be empty.
	Detail string
}

// StandingOfPod says how a condition about another pod stands; nil is a pod that
// is not there. One that is Succeeded has started, too.
func StandingOfPod(state string, other *corev1.Pod) Standing {
	switch {
	case other == nil:
		return Standing{Detail: "there is no such pod"}
	case other.DeletionTimestamp != nil:
		return Standing{Detail: "it is being deleted"}
	}
	st := &other.Status
	met := st.Phase == corev1.PodSucceeded
	switch state {
	case PodStarted:
		met = met || allStarted(st)
	case PodIsReady:
		met = slices.ContainsFunc(st.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	}
	detail := "it is " + string(st.Phase)
	if st.Phase == corev1.PodRunning && state != PodSucceeded {
		detail += ", not yet " + state
	}
	return Standing{Met: met, Detail: detail}
}

// allStarted says whether all app containers run and have started up.
func allStarted(st *corev1.PodStatus) bool {
	return st.Phase == corev1.PodRunning && !slices.ContainsFunc(st.ContainerStatuses, func(cs corev1.ContainerStatus) bool {
		return cs.Started == nil || !*cs.Started
	})
}

// StopOrder are the pods in the order in which to ask for their end: what starts
// after another one comes before it; else the order is kept. Those that can't
// be read wait for nothing.
func StopOrder(pods []*corev1.Pod) []*corev1.Pod {
	o := stopOrderer{pods: pods, done: map[*corev1.Pod]bool{}}
	for _, p := range pods {
		o.add(p)
	}
	return o.out
}

type stopOrderer struct {
	pods, out []*corev1.Pod
	done      map[*corev1.Pod]bool
}

func (o *stopOrderer) add(p *corev1.Pod) {
	if o.done[p] {
		return
	}
	o.done[p] = true
	for _, other := range o.pods {
		if after, err := StartsAfter(other); err == nil && slices.Contains(after.OtherPods(), types.NamespacedName{Namespace: p.Namespace, Name: p.Name}) {
			o.add(other)
		}
	}
	o.out = append(o.out, p)
}
