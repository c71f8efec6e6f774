package agent_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/fake"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// refused checks an error's code and message, and that it carries a Status.
func refused(t *testing.T, err error, code codes.Code, words ...string) {
	t.Helper()
	s, ok := status.FromError(err)
	if err == nil || !ok || s.Code() != code {
		t.Errorf("error = %v, want %v", err, code)
		return
	}
	for _, word := range words {
		if !strings.Contains(s.Message(), word) {
			t.Errorf("%q does not say %q", s.Message(), word)
		}
	}
	for _, d := range s.Details() {
		var st metav1.Status
		if d, ok := d.(*poddv1.Status); ok && json.Unmarshal(d.Json, &st) == nil {
			if st.Kind != "Status" || st.Status != metav1.StatusFailure || st.Code == 0 || st.Reason == "" || st.Message == "" {
				t.Errorf("status = %+v", st)
			}
			return
		}
	}
	t.Errorf("%v carries no Status", err)
}

func decodePod(t *testing.T, o *poddv1.Object) *corev1.Pod {
	t.Helper()
	var p corev1.Pod
	if err := json.Unmarshal(o.GetJson(), &p); err != nil {
		t.Fatal(err)
	}
	if o.Kind != "Pod" || o.ApiVersion != "v1" || p.Kind != "Pod" || p.APIVersion != "v1" {
		t.Errorf("it travels as %s %s with %s %s in it", o.ApiVersion, o.Kind, p.APIVersion, p.Kind)
	}
	return &p
}

func TestApplyIsAllOrNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		bad := podNamed("bad", func(p *corev1.Pod) { p.Spec.Containers[0].Name = "Not A Name" })
		for name, set := range map[string][]agent.Object{
			"an invalid one": {configMap("cfg", nil), bad},
			"one twice":      {configMap("cfg", nil), configMap("cfg", nil)},
			"an unknown kind": {configMap("cfg", nil), &corev1.Service{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Name: "svc"},
			}},
			"another node": {configMap("cfg", nil), podNamed("far", func(p *corev1.Pod) { p.Spec.NodeName = "elsewhere" })},
			"one uid twice": {configMap("cfg", nil), podNamed("a", func(p *corev1.Pod) { p.UID = "u" }),
				podNamed("b", func(p *corev1.Pod) { p.UID = "u" })},
			"a bad namespace": {podNamed("x", func(p *corev1.Pod) { p.Namespace = "a/b" })},
		} {
			_, err := r.try(&poddv1.ApplyRequest{}, set...)
			refused(t, err, codes.InvalidArgument)
			if n := len(r.life.agent.Snapshot().List("ConfigMap")) + len(r.life.agent.Snapshot().Pods()); n > 0 {
				t.Errorf("%s: %d objects were stored all the same", name, n)
			}
		}
		_, err := r.life.objects.Apply(t.Context(), &poddv1.ApplyRequest{Objects: []*poddv1.Object{{Kind: "Pod", Json: []byte("{")}}})
		refused(t, err, codes.InvalidArgument)
		_, err = r.life.objects.Apply(t.Context(), &poddv1.ApplyRequest{Objects: []*poddv1.Object{{Kind: "Gadget"}, {Kind: "Service"}}})
		refused(t, err, codes.InvalidArgument, "Gadget", "Service", "Pod, ConfigMap, Secret", "podd-kube")
	})
}

func TestApplyTellsWhatBecameOfAnObject(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		first := r.apply(configMap("cfg", map[string]string{"a": "1"})).Results[0]
		again := r.apply(configMap("cfg", map[string]string{"a": "1"})).Results[0]
		changed := r.apply(configMap("cfg", map[string]string{"a": "2"})).Results[0]
		if first.Change != poddv1.ApplyResult_CHANGE_CREATED || again.Change != poddv1.ApplyResult_CHANGE_UNCHANGED ||
			changed.Change != poddv1.ApplyResult_CHANGE_CONFIGURED {
			t.Errorf("%v %v %v", first.Change, again.Change, changed.Change)
		}
		var a, b corev1.ConfigMap
		if err := json.Unmarshal(first.Object.Json, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(changed.Object.Json, &b); err != nil {
			t.Fatal(err)
		}
		if a.UID == "" || a.UID != b.UID || a.CreationTimestamp.IsZero() || !higher(b.ResourceVersion, a.ResourceVersion) {
			t.Errorf("%+v, then %+v", a.ObjectMeta, b.ObjectMeta)
		}
	})
}

func higher(a, b string) bool {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return x > y
}

func TestDryRunChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		resp, err := r.try(&poddv1.ApplyRequest{DryRun: true}, podNamed("web", nil))
		if err != nil || resp.Results[0].Change != poddv1.ApplyResult_CHANGE_CREATED {
			t.Fatalf("%v %v", resp, err)
		}
		if p := decodePod(t, resp.Results[0].Object); p.Spec.RestartPolicy != corev1.RestartPolicyAlways || p.UID == "" || p.Status.Phase != corev1.PodPending || p.Status.QOSClass != corev1.PodQOSBestEffort {
			t.Errorf("it is not defaulted: %+v", p)
		}
		r.pass(time.Minute)
		if r.pod("web") != nil {
			t.Error("it was stored")
		}
	})
}

func TestCreateOnlyPreconditionsAndSources(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		resp, err := r.try(&poddv1.ApplyRequest{Source: "bridge:a"}, configMap("cfg", nil))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.try(&poddv1.ApplyRequest{}, configMap("cfg", map[string]string{"a": "1"}))
		refused(t, err, codes.FailedPrecondition, "bridge:a")
		_, err = r.life.objects.Delete(t.Context(), &poddv1.DeleteRequest{Ref: ref("ConfigMap", "cfg")})
		refused(t, err, codes.FailedPrecondition, "bridge:a")
		_, err = r.try(&poddv1.ApplyRequest{Source: "/etc/podd/manifests/a.yaml"}, configMap("other", nil))
		refused(t, err, codes.InvalidArgument, "files of the manifests directory")
		mine := "bridge:a"
		_, err = r.try(&poddv1.ApplyRequest{Source: mine, CreateOnly: true}, configMap("cfg", nil))
		refused(t, err, codes.AlreadyExists, "cfg")
		var meta metav1.PartialObjectMetadata
		if err := json.Unmarshal(resp.Results[0].Object.Json, &meta); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*poddv1.Preconditions{{Uid: "other"}, {ResourceVersion: "1"}} {
			_, err = r.try(&poddv1.ApplyRequest{Source: mine, Preconditions: []*poddv1.Preconditions{p}}, configMap("cfg", nil))
			refused(t, err, codes.Aborted, "precondition")
			_, err = r.life.objects.Delete(t.Context(), &poddv1.DeleteRequest{Source: mine, Ref: ref("ConfigMap", "cfg"), Preconditions: p})
			refused(t, err, codes.Aborted, "precondition")
			_, err = r.try(&poddv1.ApplyRequest{Preconditions: []*poddv1.Preconditions{p}}, configMap("none", nil))
			refused(t, err, codes.Aborted)
		}
		good := &poddv1.Preconditions{Uid: string(meta.UID), ResourceVersion: meta.ResourceVersion}
		if _, err = r.try(&poddv1.ApplyRequest{Source: mine, Preconditions: []*poddv1.Preconditions{good}},
			configMap("cfg", map[string]string{"a": "1"})); err != nil {
			t.Error(err)
		}
		if _, err = r.life.objects.Delete(t.Context(), &poddv1.DeleteRequest{Source: mine, Ref: ref("ConfigMap", "cfg")}); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatABridgeGivesIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		created := metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
		given := func(image string, generation int64) *corev1.Pod {
			return podNamed("web", func(p *corev1.Pod) {
				p.UID, p.CreationTimestamp, p.Generation = "bridged", created, generation
				p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = image, corev1.PullIfNotPresent
			})
		}
		r.world.Publish("app:2")
		p := decodePod(t, r.apply(given("app", 7)).Results[0].Object)
		if p.UID != "bridged" || p.Generation != 7 || !p.CreationTimestamp.Equal(&created) {
			t.Errorf("%+v", p.ObjectMeta)
		}
		r.untilReady("web")
		p = decodePod(t, r.apply(given("app:2", 12)).Results[0].Object)
		if p.Generation != 12 {
			t.Errorf("generation %d", p.Generation)
		}
		r.until("it runs the new image", time.Minute, func() bool {
			st := r.pod("web").Status
			return st.ObservedGeneration == 12 && st.ContainerStatuses[0].RestartCount == 1 && r.isReady("web")
		})
		ending := given("app:2", 12)
		when, grace := metav1.NewTime(time.Now().Add(5*time.Second)), int64(5)
		ending.DeletionTimestamp, ending.DeletionGracePeriodSeconds = &when, &grace
		r.apply(ending)
		r.untilGone("web")
	})
}

func TestADeletionIsNotTakenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("slow", fake.Program{Stubborn: true})
		plain := podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "slow" })
		r.apply(plain)
		r.untilReady("web")
		r.delete("web", nil)
		deadline := *r.pod("web").DeletionTimestamp
		plain.Labels = map[string]string{"new": "label"}
		again := r.apply(plain).Results[0]
		if p := decodePod(t, again.Object); p.DeletionTimestamp == nil || len(again.Warnings) == 0 {
			t.Errorf("%v, warnings %q", p.DeletionTimestamp, again.Warnings)
		}
		later, grace := metav1.NewTime(time.Now().Add(time.Hour)), int64(3600)
		plain.DeletionTimestamp, plain.DeletionGracePeriodSeconds = &later, &grace
		r.apply(plain)
		if p := r.pod("web"); p.DeletionTimestamp == nil || !p.DeletionTimestamp.Equal(&deadline) || p.Labels["new"] != "label" {
			t.Errorf("%+v", p.ObjectMeta)
		}
		sooner := metav1.NewTime(time.Now().Add(5 * time.Second))
		plain.DeletionTimestamp, plain.DeletionGracePeriodSeconds = &sooner, nil
		r.apply(plain)
		began := time.Now()
		r.untilGone("web")
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestOtherThanPodsAreReplacedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		named := func(uid string) *corev1.ConfigMap {
			c := configMap("cfg", nil)
			c.UID = types.UID(uid)
			return c
		}
		m := r.watch(&poddv1.WatchRequest{Kinds: []string{"ConfigMap"}})
		r.mirror = m
		synctest.Wait()
		r.apply(named("a"))
		r.apply(named("b"), configMap("more", nil))
		synctest.Wait()
		if !r.agrees(m, "ConfigMap") {
			t.Errorf("a watcher has %v", m.objects)
		}
		if got := strings.Join(m.types, ", "); got != "SYNCED, ADDED ConfigMap/cfg, DELETED ConfigMap/cfg, ADDED ConfigMap/cfg, ADDED ConfigMap/more" {
			t.Errorf("it was sent %s", got)
		}
	})
}

func TestGeneratedNames(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := configMap("", nil)
		c.GenerateName = "job-"
		r.apply(c)
		r.apply(c)
		if all := r.life.agent.Snapshot().List("ConfigMap"); len(all) != 2 || !strings.HasPrefix(all[0].Key.Name, "job-") {
			t.Errorf("%d objects", len(all))
		}
	})
}

func TestDeleteRefusesWhatMakesNoSense(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		minus, ten := int64(-1), int64(10)
		for _, req := range []*poddv1.DeleteRequest{
			{Ref: ref("Pod", "web"), GracePeriodSeconds: &minus},
			{Ref: ref("Pod", "web"), GracePeriodSeconds: &ten, Force: true},
			{Ref: ref("Event", "x")},
			{Ref: ref("Gadget", "x")},
			{Ref: ref("Pod", "")},
			{},
		} {
			_, err := r.life.objects.Delete(t.Context(), req)
			refused(t, err, codes.InvalidArgument)
		}
		_, err := r.life.objects.Delete(t.Context(), &poddv1.DeleteRequest{Ref: ref("Pod", "nobody")})
		refused(t, err, codes.NotFound, "nobody")
		if r.pod("web").DeletionTimestamp != nil {
			t.Error("it is being deleted")
		}
	})
}

func TestGetAndListSelect(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		labelled := func(name, app string) *corev1.Pod {
			return podNamed(name, func(p *corev1.Pod) { p.Labels = map[string]string{"app": app} })
		}
		r.apply(labelled("a", "web"), labelled("b", "web"), labelled("c", "db"), configMap("cfg", nil))
		for _, name := range []string{"a", "b", "c"} {
			r.untilReady(name)
		}
		for _, c := range []struct {
			kind, labels, fields, namespace, want string
		}{
			{kind: "Pod", want: "a b c"},
			{kind: "Pod", labels: "app=web", want: "a b"},
			{kind: "Pod", labels: "app!=web", want: "c"},
			{kind: "Pod", fields: "metadata.name=b", want: "b"},
			{kind: "Pod", fields: "status.phase=Running,metadata.name!=a", want: "b c"},
			{kind: "Pod", namespace: "other", want: ""},
			{kind: "ConfigMap", want: "cfg"},
			{kind: "Node", want: "fake"},
		} {
			resp, err := r.life.objects.List(t.Context(), &poddv1.ListRequest{
				Kind: c.kind, LabelSelector: c.labels, FieldSelector: c.fields, Namespace: c.namespace,
			})
			if err != nil {
				t.Errorf("%+v: %v", c, err)
				continue
			}
			if got := strings.Join(names(t, resp.Objects), " "); got != c.want {
				t.Errorf("%+v: got %q", c, got)
			}
		}
		resp, err := r.life.objects.List(t.Context(), &poddv1.ListRequest{Kind: "Event", FieldSelector: "involvedObject.name=a,reason=Started"})
		if err != nil || len(resp.Objects) != 1 {
			t.Errorf("events: %v %v", resp, err)
		}
		for _, req := range []*poddv1.ListRequest{
			{Kind: "Gadget"}, {}, {Kind: "Pod", LabelSelector: "a b"}, {Kind: "Pod", FieldSelector: "spec.x=1"},
			{Kind: "ConfigMap", FieldSelector: "status.phase=Running"}, {Kind: "Pod", FieldSelector: "nonsense"},
		} {
			_, err := r.life.objects.List(t.Context(), req)
			refused(t, err, codes.InvalidArgument)
		}
		got, err := r.life.objects.Get(t.Context(), &poddv1.GetRequest{Ref: ref("Pod", "a")})
		if err != nil || decodePod(t, got.Object).Status.Phase != corev1.PodRunning {
			t.Errorf("%v %v", got, err)
		}
		if _, err := r.life.objects.Get(t.Context(), &poddv1.GetRequest{Ref: ref("Node", "fake")}); err != nil {
			t.Error(err)
		}
		_, err = r.life.objects.Get(t.Context(), &poddv1.GetRequest{Ref: ref("Node", "other")})
		refused(t, err, codes.NotFound)
		_, err = r.life.objects.Get(t.Context(), &poddv1.GetRequest{Ref: ref("Pod", "z")})
		refused(t, err, codes.NotFound)
	})
}

func names(t *testing.T, objs []*poddv1.Object) []string {
	t.Helper()
	var all []string
	for _, o := range objs {
		var meta metav1.PartialObjectMetadata
		if err := json.Unmarshal(o.Json, &meta); err != nil {
			t.Fatal(err)
		}
		all = append(all, meta.Name)
	}
	return all
}

func TestAWatcherKnowsWhatIs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("early", nil))
		r.untilReady("early")
		m := r.watch(&poddv1.WatchRequest{})
		r.mirror = m
		synctest.Wait()
		if m.drain(); !m.synced {
			t.Error("not synced")
		}
		r.apply(podNamed("late", nil), configMap("cfg", nil))
		r.untilReady("late")
		r.delete("early", nil)
		r.untilGone("early")
		synctest.Wait()
		if !r.agrees(m, agent.KindNamespace, "Pod", "ConfigMap", "Secret", "Event", "Node") {
			t.Errorf("a watcher has %v", m.objects)
		}
		// It is told of a quiet world, and resumes where it was, in the next
		// podd only if it knows.
		m.types = nil
		r.pass(2 * time.Minute)
		if m.drain(); !strings.Contains(strings.Join(m.types, " "), "BOOKMARK") {
			t.Errorf("it was sent %v", m.types)
		}
		from := m.last
		m.close()
		r.mirror = nil
		r.apply(configMap("cfg", map[string]string{"a": "1"}), configMap("cfg2", nil))
		resumed := r.watch(&poddv1.WatchRequest{FromRevision: &from, Kinds: []string{"ConfigMap"}})
		synctest.Wait()
		resumed.drain()
		if got := strings.Join(resumed.types, ", "); got != "MODIFIED ConfigMap/cfg, ADDED ConfigMap/cfg2" {
			t.Errorf("it was sent %s", got)
		}
		resumed.close()
		r.restart()
		for _, from := range []uint64{from, 1 << 40} {
			lost := r.watch(&poddv1.WatchRequest{FromRevision: &from})
			<-lost.done
			refused(t, lost.err, codes.OutOfRange)
			lost.close()
		}
	})
}

func TestAWatcherSeesWhatComesToMatch(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		running := r.watch(&poddv1.WatchRequest{Kinds: []string{"Pod"}, FieldSelector: "status.phase=Running"})
		defer running.close()
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		running.drain()
		if got := strings.Join(running.types[:2], ", "); got != "SYNCED, ADDED Pod/web" {
			t.Errorf("it was sent %s", got)
		}
		for _, req := range []*poddv1.WatchRequest{{Kinds: []string{"Gadget"}}, {LabelSelector: "a b"}, {FieldSelector: "x=1"}} {
			bad := r.watch(req)
			<-bad.done
			refused(t, bad.err, codes.InvalidArgument)
			bad.close()
		}
	})
}

func TestTheNodeIsWatched(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		m := r.watch(&poddv1.WatchRequest{Kinds: []string{"Node"}})
		defer m.close()
		r.pass(5 * time.Minute)
		r.world.ChangeNode(func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse })
		r.pass(2 * time.Minute)
		m.drain()
		var told []string
		for _, word := range m.types {
			if word != "BOOKMARK" {
				told = append(told, word)
			}
		}
		if got := strings.Join(told, ", "); got != "ADDED Node/fake, SYNCED, MODIFIED Node/fake" {
			t.Errorf("it was sent %s", got)
		}
	})
}

func TestConditionsOfOthersAreKept(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		const gate = corev1.PodConditionType("example.com/in-service")
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: gate}} }))
		r.pass(time.Minute)
		if r.isReady("web") {
			t.Fatal("it is ready before its gate")
		}
		p := podNamed("web", nil)
		p.Status.Conditions = []corev1.PodCondition{{Type: gate, Status: corev1.ConditionTrue}}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.life.objects.UpdateStatus(t.Context(), &poddv1.UpdateStatusRequest{Object: &poddv1.Object{Kind: "Pod", Json: raw}})
		if err != nil {
			t.Fatal(err)
		}
		if got := decodePod(t, resp.Object).Status.Conditions[0]; got.Type != gate {
			t.Errorf("the answer has %v first", got)
		}
		r.untilReady("web")
		r.restart()
		r.untilReady("web")
		bad := &poddv1.UpdateStatusRequest{Object: &poddv1.Object{Kind: "Pod", Json: []byte("{")}}
		_, err = r.life.objects.UpdateStatus(t.Context(), bad)
		refused(t, err, codes.InvalidArgument)
		_, err = r.life.objects.UpdateStatus(t.Context(), &poddv1.UpdateStatusRequest{})
		refused(t, err, codes.InvalidArgument)
	})
}
