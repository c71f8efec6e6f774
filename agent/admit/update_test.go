package admit_test

import (
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/agent/admit"
)

const web = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}, annotations: {a: b}}
spec:
  containers:
  - {name: web, image: "nginx:1", command: [serve], resources: {requests: {cpu: 1000m}}}
`

const settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"}
`

const keys = `
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {a: YQ==}
`

const sealed = `
apiVersion: v1
kind: ConfigMap
metadata: {name: sealed}
immutable: true
data: {a: "1"}
`

func mustAdmit(t *testing.T, manifest string) admit.Object {
	t.Helper()
	r, err := admitYAML(t, []byte(manifest), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Change != admit.Spec {
		t.Errorf("a new object's change is %d", r.Change)
	}
	return stored(r.Object)
}

func TestUpdate(t *testing.T) {
	for name, c := range map[string]struct {
		manifest, from, to string
		want               admit.Change
		refusal            string
	}{
		"nothing":                  {manifest: web},
		"the same, said otherwise": {manifest: web, from: "cpu: 1000m", to: "cpu: 1"},
		"a default, spelled out":   {manifest: web, from: "spec:", to: "spec:\n  restartPolicy: Always\n  nodeName: here"},
		"a status":                 {manifest: web, from: "spec:", to: "status: {phase: Failed}\nspec:"},
		"what a server gives":      {manifest: web, from: "name: web,", to: `name: web, resourceVersion: "1", generation: 9, uid: other, managedFields: [{manager: m}],`},
		"a label":                  {manifest: web, from: "app: web", to: "app: other", want: admit.Metadata},
		"no annotation":            {manifest: web, from: ", annotations: {a: b}", want: admit.Metadata},
		"an image":                 {manifest: web, from: "nginx:1", to: "nginx:2", want: admit.Spec},
		"an image and a label":     {manifest: web, from: "app: web}, annotations: {a: b}}", to: "app: b}}", want: admit.Metadata},
		"a toleration":             {manifest: web, from: "spec:", to: "spec:\n  tolerations: [{operator: Exists}]", want: admit.Spec},
		"tolerations left out":     {manifest: strings.Replace(web, "spec:", "spec:\n  tolerations: [{operator: Exists}]", 1), from: "tolerations: [{operator: Exists}]", to: "restartPolicy: Always"},
		"a command":                {manifest: web, from: "serve", to: "other", refusal: "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"},
		"another container":        {manifest: web, from: "containers:", to: "containers:\n  - {name: b, image: b}", refusal: "spec.containers: Forbidden: pod updates may not add or remove containers"},
		"another node":             {manifest: web, from: "spec:", to: "spec:\n  nodeName: there", refusal: "spec: Forbidden: pod updates may not change fields other than"},
		"a deadline":               {manifest: web, from: "spec:", to: "spec:\n  activeDeadlineSeconds: 1", want: admit.Spec},
		"what is refused":          {manifest: web, from: "spec:", to: "spec:\n  overhead: {cpu: 1m}", refusal: "not supported yet: spec.overhead"},

		"the same settings":       {manifest: settings},
		"other settings":          {manifest: settings, from: `a: "1"`, to: `a: "2"`, want: admit.Spec},
		"binary settings":         {manifest: settings, from: "\ndata:", to: "\nbinaryData: {b: AAE=}\ndata:", want: admit.Spec},
		"labelled settings":       {manifest: settings, from: "name: settings", to: "name: settings, labels: {a: b}", want: admit.Metadata},
		"sealed settings":         {manifest: settings, from: "\ndata:", to: "\nimmutable: true\ndata:", want: admit.Spec},
		"what is sealed":          {manifest: sealed, from: `a: "1"`, to: `a: "2"`, refusal: "data: Forbidden: field is immutable when `immutable` is set"},
		"the same keys":           {manifest: keys},
		"the same keys, in clear": {manifest: keys, from: "data: {a: YQ==}", to: "stringData: {a: a}"},
		"other keys":              {manifest: keys, from: "YQ==", to: "Yg==", want: admit.Spec},
		"another type":            {manifest: keys, from: "\ndata:", to: "\ntype: example.com/x\ndata:", refusal: "type: Invalid value: \"example.com/x\": field is immutable"},
	} {
		t.Run(name, func(t *testing.T) {
			old := mustAdmit(t, c.manifest)
			changed := strings.Replace(c.manifest, c.from, c.to, 1)
			r, err := admitYAML(t, []byte(changed), old)
			switch {
			case c.refusal == "" && err != nil:
				t.Fatal(err)
			case c.refusal == "" && r.Change != c.want:
				t.Errorf("change %d, want %d", r.Change, c.want)
			case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
				t.Errorf("got %v, want %q", err, c.refusal)
			}
		})
	}
}

func TestAnUpdateKeepsWhatTheServerGave(t *testing.T) {
	old := mustAdmit(t, web)
	r, err := admitYAML(t, []byte(strings.Replace(web, "nginx:1", "nginx:2", 1)), old)
	if err != nil {
		t.Fatal(err)
	}
	p := r.Object.(*corev1.Pod)
	if p.UID != old.GetUID() || p.ResourceVersion != "17" || p.Generation != 3 || p.Spec.NodeName != "here" {
		t.Errorf("%+v on %q", p.ObjectMeta, p.Spec.NodeName)
	}
}

// An applied deletionTimestamp begins a deletion, and one that is under way
// neither blocks an update nor gets lost by it.
func TestDeletionTimestamps(t *testing.T) {
	begun := strings.Replace(web, "name: web,", `name: web, deletionTimestamp: "2026-01-02T03:04:05Z", deletionGracePeriodSeconds: 5,`, 1)
	r, err := admitYAML(t, []byte(begun), mustAdmit(t, web))
	if err != nil || r.Object.GetDeletionTimestamp() == nil || *r.Object.GetDeletionGracePeriodSeconds() != 5 {
		t.Fatalf("%+v, %v", r.Object, err)
	}
	old := mustAdmit(t, web)
	at, grace := metav1.NewTime(time.Unix(1e9, 0)), int64(7)
	old.SetDeletionTimestamp(&at)
	old.SetDeletionGracePeriodSeconds(&grace)
	r, err = admitYAML(t, []byte(web), old)
	if err != nil || r.Change != admit.None || !r.Object.GetDeletionTimestamp().Equal(&at) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRepeatedKeysAreRefused(t *testing.T) {
	_, err := admit.New().Admit("ConfigMap", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"b":"1","b":"2"}}`), nil)
	if err == nil || !strings.Contains(err.Error(), `duplicate field "data.b"`) {
		t.Error(err)
	}
}

// The example that the README shows has to go in without a warning.
func TestTheGuestbookIsAdmitted(t *testing.T) {
	raw, err := os.ReadFile("../../examples/guestbook.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range strings.Split(string(raw), "\n---\n") {
		if r, err := admitYAML(t, []byte(doc), nil); err != nil || len(r.Warnings) > 0 {
			t.Errorf("%q, %v", r.Warnings, err)
		}
	}
}
