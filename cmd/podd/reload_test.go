package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestLiveKeysAreKeys(t *testing.T) {
	var names []string
	for _, k := range keys() {
		names = append(names, k.name)
	}
	for _, name := range live() {
		if !slices.Contains(names, name) {
			t.Errorf("%s is no key", name)
		}
	}
}

func TestMergeTakesOverWhatMayChange(t *testing.T) {
	present, next := defaultConfig(), defaultConfig()
	next.LogLevel, next.MaxFinished, next.Root = "debug", 3, "/elsewhere"
	next.Listen = []string{"unix:///x"}
	next.Runtimes = map[string]Runtime{"runc": {Path: "/r"}}
	merged, now, later := merge(present, next)
	want := defaultConfig()
	want.LogLevel, want.MaxFinished = "debug", 3
	if diff := cmp.Diff(want, merged); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"max-finished-pods", "log-level"}, now); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"root", "listen", "runtimes"}, later); diff != "" {
		t.Error(diff)
	}
	if _, now, later := merge(merged, merged); now != nil || later != nil {
		t.Errorf("nothing changed: %q, %q", now, later)
	}
}

func TestSummary(t *testing.T) {
	in := func(phase corev1.PodPhase, ready corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Phase: phase, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}}
	}
	for want, pods := range map[string][]*corev1.Pod{
		"no pods":                   nil,
		"pods: 1 running (0 ready)": {in(corev1.PodRunning, corev1.ConditionFalse)},
		"pods: 2 running (1 ready), 1 pending, 1 failed": {
			in(corev1.PodRunning, corev1.ConditionTrue), in(corev1.PodRunning, corev1.ConditionFalse),
			in(corev1.PodFailed, corev1.ConditionFalse), in(corev1.PodPending, corev1.ConditionFalse),
		},
	} {
		if got := summary(pods); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
