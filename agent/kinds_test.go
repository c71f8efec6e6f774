package agent_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// applyText applies one object as it would be sent.
func (r *rig) applyText(kind, text string) (*poddv1.ApplyResult, error) {
	r.t.Helper()
	resp, err := r.life.objects.Apply(r.t.Context(), &poddv1.ApplyRequest{Objects: []*poddv1.Object{{Kind: kind, Json: []byte(text)}}})
	if err != nil {
		return nil, err
	}
	return resp.Results[0], nil
}

func (r *rig) names(kind string) []string {
	r.t.Helper()
	resp, err := r.life.objects.List(r.t.Context(), &poddv1.ListRequest{Kind: kind})
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, o := range resp.Objects {
		var m metav1.PartialObjectMetadata
		if err := json.Unmarshal(o.Json, &m); err != nil {
			r.t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(m.Namespace+"/"+m.Name, "/"))
	}
	return names
}

// TestStoredKinds: what podd only stores has Kubernetes' defaults and refusals,
// survives podd, and goes.
func TestStoredKinds(t *testing.T) {
	const claim = `"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"x"}`
	const class = `"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"x"}`
	const priority = `"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"x"}`
	for kind, c := range map[string]struct{ text, has, update, refusal, bad, says string }{
		"PersistentVolumeClaim": {
			`{` + claim + `,"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`, `"volumeMode":"Filesystem"`,
			`{` + claim + `,"spec":{"accessModes":["ReadOnlyMany"],"resources":{"requests":{"storage":"1Gi"}}}}`, "spec is immutable after creation",
			`{` + claim + `,"spec":{"resources":{"requests":{"storage":"1Gi"}}}}`, "spec.accessModes",
		},
		"RuntimeClass": {
			`{` + class + `,"handler":"crun"}`, `"handler":"crun"`, `{` + class + `,"handler":"other"}`, "handler: Invalid value",
			`{` + class + `,"handler":"Not One"}`, "handler: Invalid value",
		},
		"PriorityClass": {
			`{` + priority + `,"value":10}`, `"preemptionPolicy":"PreemptLowerPriority"`, `{` + priority + `,"value":11}`, "value: Forbidden",
			strings.Replace(`{`+priority+`,"value":10}`, `"x"`, `"system-x"`, 1), "system-",
		},
		"Namespace": {
			`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x"}}`, `"phase":"Active"`, "", "",
			`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"Not_One"}}`, "metadata.name",
		},
	} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				got, err := r.applyText(kind, c.text)
				if err != nil || got.Change != poddv1.ApplyResult_CHANGE_CREATED || !strings.Contains(string(got.Object.Json), c.has) {
					t.Fatalf("%v %v", got, err)
				}
				if again, err := r.applyText(kind, c.text); err != nil || again.Change != poddv1.ApplyResult_CHANGE_UNCHANGED {
					t.Errorf("again: %v %v", again, err)
				}
				if c.update != "" {
					_, err = r.applyText(kind, c.update)
					refused(t, err, codes.InvalidArgument, c.refusal)
				}
				_, err = r.applyText(kind, c.bad)
				refused(t, err, codes.InvalidArgument, c.says)
				_, err = r.applyText(kind, strings.Replace(c.text, "{", `{"nosuch":1,`, 1))
				refused(t, err, codes.InvalidArgument, "nosuch")
				_, err = r.applyText(kind, strings.Replace(c.text, `"apiVersion":"`, `"apiVersion":"no/`, 1))
				refused(t, err, codes.InvalidArgument, "apiVersion")
				r.restart()
				if _, err := r.life.objects.Get(t.Context(), &poddv1.GetRequest{Ref: ref(kind, "x")}); err != nil {
					t.Error(err)
				}
				if _, err := r.life.objects.Delete(t.Context(), &poddv1.DeleteRequest{Ref: ref(kind, "x")}); err != nil {
					t.Error(err)
				}
				_, err = r.life.objects.Get(t.Context(), &poddv1.GetRequest{Ref: ref(kind, "x")})
				refused(t, err, codes.NotFound, "x")
			})
		})
	}
}

func TestClusterWideKindsHaveNoNamespace(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, err := r.applyText("RuntimeClass", `{"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"x","namespace":"y"},"handler":"crun"}`)
		refused(t, err, codes.InvalidArgument, "metadata.namespace")
		if _, err := r.applyText("RuntimeClass", `{"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"x"},"handler":"crun"}`); err != nil {
			t.Error(err)
		}
		if got := r.names("RuntimeClass"); !slices.Equal(got, []string{"x"}) {
			t.Errorf("%v", got)
		}
	})
}

// TestNamespacesAreThereWithWhatIsInThem, and as long; one that was made stays.
func TestNamespacesAreThereWithWhatIsInThem(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		expect := func(want ...string) {
			t.Helper()
			if got := r.names("Namespace"); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		}
		apply := func(kind, text string) {
			t.Helper()
			if _, err := r.applyText(kind, text); err != nil {
				t.Fatal(err)
			}
		}
		remove := func(kind, namespace, name string) error {
			_, err := r.life.objects.Delete(t.Context(), &poddv1.DeleteRequest{Ref: &poddv1.ObjectRef{Kind: kind, Namespace: namespace, Name: name}})
			return err
		}
		expect("default")
		apply("ConfigMap", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"one"}}`)
		expect("default", "one")
		refused(t, remove("Namespace", "", "one"), codes.Aborted, "configmap/c")
		apply("Namespace", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"two"}}`)
		expect("default", "one", "two")
		r.restart()
		expect("default", "one", "two")
		if err := remove("ConfigMap", "one", "c"); err != nil {
			t.Error(err)
		}
		expect("default", "two")
		// One that was there by itself can be made, with labels, and stays then.
		apply("ConfigMap", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"one"}}`)
		apply("Namespace", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"one","labels":{"a":"b"}}}`)
		if err := remove("ConfigMap", "one", "c"); err != nil {
			t.Error(err)
		}
		expect("default", "one", "two")
		for _, name := range []string{"one", "two"} {
			if err := remove("Namespace", "", name); err != nil {
				t.Error(err)
			}
		}
		expect("default")
		if err := remove("Namespace", "", "default"); err != nil {
			t.Error(err)
		}
		expect("default") // it is always there
	})
}
