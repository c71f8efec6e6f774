package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/systemd"
)

// live are the keys of which a change holds at once; the others need a restart.
func live() []string {
	return []string{
		"finished-pod-log-max-age", "finished-pod-ttl", "max-finished-pods",
		"image-gc-high-threshold", "image-gc-low-threshold", "image-minimum-gc-age", "image-maximum-gc-age",
		"max-container-restart-period", "log-level",
	}
}

// settings are the part of the configuration that the agent can change.
func (c Config) settings() (agent.Settings, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return agent.Settings{}, fmt.Errorf("write down the configuration: %w", err)
	}
	return agent.Settings{Collection: c.collection(), Finished: c.finished(), Shutdown: c.shutdown(), ConfigYAML: text}, nil
}

// changed are the keys in which two configurations differ.
func changed(a, b Config) []string {
	var names []string
	for _, k := range keys() {
		if !reflect.DeepEqual(k.field(&a), k.field(&b)) {
			names = append(names, k.name)
		}
	}
	if !reflect.DeepEqual(a.Runtimes, b.Runtimes) {
		names = append(names, "runtimes")
	}
	return names
}

// merge takes over from next what can change while podd runs. later are the keys
// that it could not take over.
func merge(present, next Config) (merged Config, now, later []string) {
	merged = present
	for _, name := range changed(present, next) {
		if slices.Contains(live(), name) {
			now = append(now, name)
		} else {
			later = append(later, name)
		}
	}
	overlay(&merged, &next, func(name string) bool { return slices.Contains(now, name) })
	return merged, now, later
}

// reloads reads the configuration anew whenever it is asked to, until ctx ends.
func (d *podd) reloads(ctx context.Context, asked <-chan os.Signal, a *agent.Agent, f *facts) {
	present := d.cfg
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		}
		d.tell(systemd.Reloading())
		next, err := d.reload(present, a, f)
		if err != nil {
			d.log.Error("the configuration could not be read anew; the one in effect stays", zap.Error(err))
			d.happened(ctx, pod.Event{
				Type: corev1.EventTypeWarning, Reason: "ConfigNotReloaded", Message: fmt.Sprintf("The configuration in effect stays: %v", err),
			})
			d.remark.Store(new("; the configuration was not reloaded, podd's log says why"))
		} else {
			present = next
		}
		d.tell(systemd.Ready(d.status(a)))
	}
}

// reload puts into effect what it can of the configuration as it is now.
func (d *podd) reload(present Config, a *agent.Agent, f *facts) (Config, error) {
	next, err := d.reread()
	if err != nil {
		return present, err
	}
	merged, now, later := merge(present, next)
	settings, err := merged.settings()
	if err != nil {
		return present, err
	}
	a.Change(settings)
	f.setMaxRestart(age(merged.MaxRestart))
	d.level.SetLevel(merged.level())
	d.log.Info("the configuration is read anew", zap.Strings("in effect", now), zap.Strings("needs a restart of podd", later))
	remark := ""
	if len(later) > 0 {
		remark = "; changed, and needs a restart: " + strings.Join(later, ", ")
	}
	d.remark.Store(&remark)
	return merged, nil
}

// status is podd in one line, for systemd.
func (d *podd) status(a *agent.Agent) string {
	text := summary(a.Snapshot().Pods())
	if remark := d.remark.Load(); remark != nil {
		text += *remark
	}
	return text
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// summary counts pods.
func summary(pods []*corev1.Pod) string {
	if len(pods) == 0 {
		return "no pods"
	}
	count, ready := map[corev1.PodPhase]int{}, 0
	for _, p := range pods {
		count[p.Status.Phase]++
		if isReady(p) {
			ready++
		}
	}
	var parts []string
	for _, phase := range []corev1.PodPhase{corev1.PodRunning, corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed} {
		switch n := count[phase]; {
		case n > 0 && phase == corev1.PodRunning:
			parts = append(parts, fmt.Sprintf("%d running (%d ready)", n, ready))
		case n > 0:
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(string(phase))))
		}
	}
	return fmt.Sprintf("pods: %s", strings.Join(parts, ", "))
}
