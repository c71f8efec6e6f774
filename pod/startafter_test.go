package pod

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func waiting(annotation string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web", Annotations: map[string]string{StartAfterAnnotation: annotation},
	}}
}

func TestStartsAfter(t *testing.T) {
	for text, want := range map[string]struct {
		conditions string
		timeout    time.Duration
		anyway     bool
	}{
		"":             {},
		"pod/db=Ready": {conditions: "pod/shop/db=Ready"},
		" pod/other/db=Succeeded , pod/db=Started;timeout=5m":      {"pod/other/db=Succeeded pod/shop/db=Started", 5 * time.Minute, false},
		"unit/chrony.service=active; timeout=1s; then=start":       {"unit/chrony.service=active", time.Second, true},
		"net=default-route,time=synchronised;timeout=1s;then=fail": {"net=default-route time=synchronised", time.Second, false},
		"path/srv/data,path//srv/../mnt":                           {conditions: "path/srv/data path/mnt"},
		"device/ttyUSB0,device/dev/sda,device//dev/sdb":            {conditions: "device/dev/ttyUSB0 device/dev/sda device/dev/sdb"},
	} {
		got, err := StartsAfter(waiting(text))
		var conditions []string
		for _, c := range got.Conditions {
			conditions = append(conditions, c.String())
		}
		if err != nil || strings.Join(conditions, " ") != want.conditions || got.Timeout != want.timeout || got.StartAnyway != want.anyway {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestStartConditionsThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"db":                             `"db" is no start condition: there are pod/`,
		",":                              `"" is no start condition`,
		"pod/db":                         `"pod/db" is not of the form pod/[NAMESPACE/]NAME=Started|Ready|Succeeded`,
		"pod/db=ready":                   `"pod/db=ready" is not of the form`,
		"pod/a/b/c=Ready":                `is not of the form`,
		"pod/DB=Ready":                   `is not of the form`,
		"pod/db=Ready,pod/shop/db=Ready": `"pod/shop/db=Ready" is there twice`,
		"unit/x=active":                  `"unit/x=active" is not of the form unit/NAME.service=active`,
		"unit/x.service":                 `is not of the form unit/`,
		"unit/x.service=failed":          `is not of the form unit/`,
		"path":                           `"path" is not of the form path/PATH`,
		"path/":                          `is not of the form path/PATH`,
		"path/a=b":                       `is not of the form path/PATH`,
		"device/":                        `is not of the form device/PATH`,
		"net=up":                         `"net=up" is not net=default-route`,
		"time=synchronized":              `is not time=synchronised`,
		"path/a;timeout=60":              `timeout=60: it has to be a time such as 60s`,
		"path/a;timeout=-1s":             `timeout=-1s: it has to be a time`,
		"path/a;then=fail":               `it needs one`,
		"path/a;timeout=1s;then=wait":    `then=wait: it has to be start or fail`,
		"path/a;timeout=1s;timeout=2s":   `the option "timeout" is there twice`,
		"path/a;retry=3":                 `"retry=3" is no option`,
	} {
		got, err := StartsAfter(waiting(text))
		if err == nil || got.Conditions != nil || !strings.HasPrefix(err.Error(), StartAfterAnnotation+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestOtherPods(t *testing.T) {
	after, err := StartsAfter(waiting("pod/db=Ready,path/a,pod/ns/q=Started"))
	if got := dump(after.OtherPods()); err != nil || !strings.Contains(got, "shop") || !strings.Contains(got, "ns") || len(after.OtherPods()) != 2 {
		t.Error(got, err)
	}
}

func TestStandingOfPod(t *testing.T) {
	started, not := true, false
	of := func(phase corev1.PodPhase, ready corev1.ConditionStatus, started *bool) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{
			Phase: phase, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
			ContainerStatuses: []corev1.ContainerStatus{{Started: started}},
		}}
	}
	deleted := of(corev1.PodRunning, corev1.ConditionTrue, &started)
	deleted.DeletionTimestamp = &metav1.Time{}
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		met  []string
		says string // of Ready
	}{
		"none":      {nil, nil, "there is no such pod"},
		"deleted":   {deleted, nil, "it is being deleted"},
		"pending":   {of(corev1.PodPending, corev1.ConditionFalse, &not), nil, "it is Pending"},
		"starting":  {of(corev1.PodRunning, corev1.ConditionFalse, &not), nil, "it is Running, not yet Ready"},
		"unknown":   {of(corev1.PodRunning, corev1.ConditionFalse, nil), nil, "it is Running, not yet Ready"},
		"started":   {of(corev1.PodRunning, corev1.ConditionFalse, &started), []string{PodStarted}, "it is Running, not yet Ready"},
		"ready":     {of(corev1.PodRunning, corev1.ConditionTrue, &started), []string{PodStarted, PodIsReady}, "it is Running, not yet Ready"},
		"succeeded": {of(corev1.PodSucceeded, corev1.ConditionFalse, &not), []string{PodStarted, PodSucceeded}, "it is Succeeded"},
		"failed":    {of(corev1.PodFailed, corev1.ConditionFalse, &not), nil, "it is Failed"},
	} {
		for _, state := range []string{PodStarted, PodIsReady, PodSucceeded} {
			if got := StandingOfPod(state, c.pod); got.Met != slices.Contains(c.met, state) || state == PodIsReady && got.Detail != c.says {
				t.Errorf("%s, %s: %+v", name, state, got)
			}
		}
	}
}

func TestStopOrder(t *testing.T) {
	named := func(name, after string) *corev1.Pod {
		p := waiting(after)
		p.Name = name
		return p
	}
	all := []*corev1.Pod{
		named("db", "pod/disk=Ready"), named("other", ""), named("web", "pod/db=Ready,pod/cache=Started"),
		named("cache", "nonsense"), named("disk", ""), named("loop", "pod/loop=Ready"),
	}
	var names []string
	for _, p := range StopOrder(all) {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "web db other cache disk loop" {
		t.Error(got)
	}
}
