package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/fake"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// debug adds an ephemeral container to a pod.
func (r *rig) debug(name string, c corev1.EphemeralContainer, edit func(*poddv1.UpdateEphemeralContainersRequest)) (*corev1.Pod, error) {
	r.t.Helper()
	p := r.pod(name).DeepCopy()
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, c)
	raw, err := json.Marshal(p)
	if err != nil {
		r.t.Fatal(err)
	}
	req := &poddv1.UpdateEphemeralContainersRequest{Object: &poddv1.Object{Kind: "Pod", Json: raw}}
	if edit != nil {
		edit(req)
	}
	resp, err := r.life.objects.UpdateEphemeralContainers(r.t.Context(), req)
	if err != nil {
		return nil, err
	}
	return decodePod(r.t, resp.Object), nil
}

func debugger(name, image string) corev1.EphemeralContainer {
	var c corev1.EphemeralContainer
	c.Name, c.Image, c.Stdin = name, image, true
	return c
}

// state is that of an ephemeral container.
func (r *rig) state(name, container string) corev1.ContainerState {
	for _, cs := range r.pod(name).Status.EphemeralContainerStatuses {
		if cs.Name == container {
			return cs.State
		}
	}
	return corev1.ContainerState{}
}

func TestAnEphemeralContainerJoinsARunningPod(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Publish("debug", fake.Program{Output: "hello\n", Attach: parrot, Exec: func(_ context.Context, cmd pod.ExecCommand) int { return 4 }})
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		p, err := r.debug("web", debugger("first", "debug"), nil)
		if err != nil || p.Generation != 2 || p.Spec.EphemeralContainers[0].TerminationMessagePath == "" {
			t.Fatalf("%+v %v", p, err)
		}
		r.until("it runs", time.Minute, func() bool { return r.state("web", "first").Running != nil })
		if text, err := r.logs(&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "web"}, Container: "first"}); err != nil || text != "hello\n" {
			t.Errorf("logs: %q %v", text, err)
		}
		stream := r.exec(t.Context(), &poddv1.ExecRequest_Start{Container: "first", Command: []string{"a"}})
		if resp, err := stream.Recv(); err != nil || resp.Output.GetExit().GetCode() != 4 {
			t.Errorf("exec: %v %v", resp, err)
		}
		if resp, err := r.attach(t.Context(), &poddv1.AttachRequest_Start{Container: "first", Stdin: true}).Recv(); err != nil || string(resp.Output.GetStdout()) != "once false\n" {
			t.Errorf("attach: %v %v", resp, err)
		}
		if !r.isReady("web") {
			t.Error("it counts")
		}
		if got := r.fieldPaths("web"); !got["spec.ephemeralContainers{first}"] {
			t.Errorf("events are of %v", got)
		}
		r.kill()
		r.start()
		r.until("it still runs", time.Minute, func() bool { return r.state("web", "first").Running != nil })
		r.delete("web", nil)
		r.untilGone("web")
		if left := r.world.Leftovers(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// fieldPaths are the containers that a pod's events are of.
func (r *rig) fieldPaths(name string) map[string]bool {
	r.t.Helper()
	resp, err := r.life.objects.List(r.t.Context(), &poddv1.ListRequest{Kind: "Event"})
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]bool{}
	for _, obj := range resp.Objects {
		var e corev1.Event
		if err := json.Unmarshal(obj.Json, &e); err != nil {
			r.t.Fatal(err)
		}
		if e.InvolvedObject.Name == name {
			all[e.InvolvedObject.FieldPath] = true
		}
	}
	return all
}

func TestAnEphemeralContainerEndsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Publish("short", fake.Program{Runs: time.Second, Code: 3})
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		if _, err := r.debug("web", debugger("first", "short"), nil); err != nil {
			t.Fatal(err)
		}
		r.until("it runs", time.Minute, func() bool { return r.state("web", "first").Running != nil })
		_, ended := r.follow(&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "web"}, Container: "first"})
		r.pass(time.Hour)
		select {
		case err := <-ended:
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		default:
			t.Error("its log is followed on")
		}
		st := r.pod("web").Status.EphemeralContainerStatuses[0]
		if end := st.State.Terminated; end == nil || end.ExitCode != 3 || st.RestartCount != 0 || st.LastTerminationState.Terminated != nil {
			t.Errorf("status = %+v", st)
		}
		changed := r.apply(podNamed("web", func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }))
		if got := decodePod(t, changed.Results[0].Object); len(got.Spec.EphemeralContainers) != 1 {
			t.Errorf("an apply took it away: %+v", got.Spec)
		}
	})
}

// What an ephemeral container refers to is seen: it starts once that is there.
func TestAnEphemeralContainerWaitsForWhatItRefersTo(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		c := debugger("first", "app")
		c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}}
		if _, err := r.debug("web", c, nil); err != nil {
			t.Fatal(err)
		}
		r.until("it waits", time.Minute, func() bool {
			w := r.state("web", "first").Waiting
			return w != nil && w.Reason == "CreateContainerConfigError"
		})
		r.apply(configMap("settings", nil))
		r.until("it runs", time.Second, func() bool { return r.state("web", "first").Running != nil })
	})
}

func TestEphemeralContainersThatAreRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		apply := func(source, name string) {
			t.Helper()
			if _, err := r.try(&poddv1.ApplyRequest{Source: source}, podNamed(name, nil)); err != nil {
				t.Fatal(err)
			}
			r.untilReady(name)
		}
		apply("", "web")
		apply("bridge", "theirs")
		if _, err := r.life.agent.Apply(t.Context(), []agent.Want{{Kind: "Pod", JSON: travel(t, podNamed("file", nil)).Json}}, agent.ApplyOptions{Source: "/etc/podd/file.yaml"}); err != nil {
			t.Fatal(err)
		}
		r.untilReady("file")
		for name, c := range map[string]struct {
			pod  string
			edit func(*poddv1.UpdateEphemeralContainersRequest)
			want codes.Code
			says string
		}{
			"another source's": {"theirs", nil, codes.FailedPrecondition, "it comes from bridge"},
			"an old version": {"web", func(q *poddv1.UpdateEphemeralContainersRequest) {
				q.Preconditions = &poddv1.Preconditions{ResourceVersion: "1"}
			}, codes.Aborted, "ResourceVersion"},
			"another uid":    {"web", func(q *poddv1.UpdateEphemeralContainersRequest) { q.Preconditions = &poddv1.Preconditions{Uid: "a"} }, codes.Aborted, "UID"},
			"a file's as if": {"web", func(q *poddv1.UpdateEphemeralContainersRequest) { q.Source = "/a" }, codes.InvalidArgument, "begin with /"},
			"no pod":         {"web", func(q *poddv1.UpdateEphemeralContainersRequest) { q.Object = nil }, codes.InvalidArgument, "a Pod is needed"},
			"another kind":   {"web", func(q *poddv1.UpdateEphemeralContainersRequest) { q.Object.Kind = "Secret" }, codes.InvalidArgument, "not a Pod"},
			"no name":        {"web", func(q *poddv1.UpdateEphemeralContainersRequest) { q.Object.Json = []byte("{}") }, codes.InvalidArgument, "metadata.name"},
			"one that is not there": {"web", func(q *poddv1.UpdateEphemeralContainersRequest) {
				q.Object.Json = []byte(strings.ReplaceAll(string(q.Object.Json), `"web"`, `"none"`))
			}, codes.NotFound, "none"},
			"a name that is taken": {"web", func(q *poddv1.UpdateEphemeralContainersRequest) {
				q.Object.Json = []byte(strings.ReplaceAll(string(q.Object.Json), `"first"`, `"main"`))
			}, codes.InvalidArgument, "Duplicate value"},
		} {
			_, err := r.debug(c.pod, debugger("first", "app"), c.edit)
			if refused(t, err, c.want, c.says); t.Failed() {
				t.Fatal(name)
			}
		}
		theirs := func(q *poddv1.UpdateEphemeralContainersRequest) { q.Source = "bridge" }
		for _, name := range []string{"web", "file", "theirs"} {
			if p, err := r.debug(name, debugger("first", "app"), theirs); err != nil || len(p.Spec.EphemeralContainers) != 1 {
				t.Errorf("%s: %v", name, err)
			}
		}
		p := r.pod("web").DeepCopy()
		p.Spec.EphemeralContainers = nil
		_, err := r.life.objects.UpdateEphemeralContainers(t.Context(), &poddv1.UpdateEphemeralContainersRequest{Object: &poddv1.Object{Kind: "Pod", Json: travel(t, p).Json}})
		refused(t, err, codes.InvalidArgument, "may not be removed")
	})
}
