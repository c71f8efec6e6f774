package admit_test

import (
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"

	"github.com/podd-io/podd/agent/admit"
)

// debugged is web while somebody looks into it.
const debugged = web + `
  ephemeralContainers:
  - {name: first, image: "busybox:1", stdin: true, tty: true}
`

// ephemeralYAML admits a manifest's ephemeral containers for the pod old.
func ephemeralYAML(t *testing.T, manifest string, old *corev1.Pod) (admit.Result, error) {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	return admit.New().AdmitEphemeral(raw, old)
}

// withFirst is web as it is stored with the first debugger in it.
func withFirst(t *testing.T) *corev1.Pod {
	t.Helper()
	r, err := ephemeralYAML(t, debugged, mustAdmit(t, web).(*corev1.Pod))
	if err != nil || r.Change != admit.Spec {
		t.Fatalf("change %d, %v", r.Change, err)
	}
	return stored(r.Object).(*corev1.Pod)
}

// Each manifest is sent for a pod that has one ephemeral container; the file
// beside it says what comes of it.
func TestEphemeralGolden(t *testing.T) {
	for name, add := range map[string]string{
		"added":     `{name: second, image: "debug:1", targetContainerName: web, command: [sh], env: [{name: A, value: b}], securityContext: {capabilities: {add: [SYS_PTRACE]}}}`,
		"forbidden": `{name: second, image: "debug:1", ports: [{containerPort: 1}], resources: {limits: {cpu: 1}}, livenessProbe: {exec: {command: [a]}}, lifecycle: {preStop: {exec: {command: [a]}}}}`,
		"invalid":   `{name: web, image: "debug:1", targetContainerName: nobody, volumeMounts: [{name: none, mountPath: /a, subPath: b}]}`,
		"not-yet":   `{name: second, image: "debug:1", volumeDevices: [{name: a, devicePath: /dev/a}], securityContext: {seLinuxOptions: {level: a}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ephemeralYAML(t, debugged+"  - "+add+"\n", withFirst(t))
			compare(t, filepath.Join("testdata", "ephemeral", name+".golden"), told(t, r, err))
		})
	}
}

func TestEphemeralUpdate(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		want     admit.Change
		refusal  string
	}{
		"nothing":                     {},
		"another image elsewhere":     {from: "nginx:1", to: "nginx:2"}, // not this call's affair
		"a label":                     {from: "app: web", to: "app: other"},
		"a second one":                {from: "  ephemeralContainers:", to: "  ephemeralContainers:\n  - {name: second, image: a}", want: admit.Spec},
		"another image for the old":   {from: "busybox:1", to: "busybox:2", refusal: `existing ephemeral containers "first" may not be changed`},
		"another name for the old":    {from: "first", to: "second", refusal: `existing ephemeral containers "first" may not be removed`},
		"none any more":               {from: "\n  - {name: first, image: \"busybox:1\", stdin: true, tty: true}", to: " []", refusal: "may not be removed"},
		"a name that a container has": {from: "  ephemeralContainers:", to: "  ephemeralContainers:\n  - {name: web, image: a}", refusal: `spec.ephemeralContainers[0].name: Duplicate value: "web"`},
		"an unknown field":            {from: "stdin: true", to: "stdni: true", refusal: `unknown field "spec.ephemeralContainers[0].stdni"`},
	} {
		t.Run(name, func(t *testing.T) {
			old := withFirst(t)
			before := old.DeepCopy()
			r, err := ephemeralYAML(t, strings.Replace(debugged, c.from, c.to, 1), old)
			switch {
			case c.refusal == "" && err != nil:
				t.Fatal(err)
			case c.refusal == "" && r.Change != c.want:
				t.Errorf("change %d, want %d", r.Change, c.want)
			case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
				t.Errorf("got %v, want %q", err, c.refusal)
			}
			if !equality.Semantic.DeepEqual(old, before) {
				t.Error("the old object was changed")
			}
		})
	}
}

// A manifest that is applied again knows nothing of who looks into its pod, and
// changes nothing of that; it can't add to it either.
func TestAnApplyLeavesEphemeralContainers(t *testing.T) {
	old := withFirst(t)
	r, err := admitYAML(t, []byte(strings.Replace(web, "nginx:1", "nginx:2", 1)), old)
	if err != nil || len(r.Object.(*corev1.Pod).Spec.EphemeralContainers) != 1 {
		t.Errorf("%v, %v", r.Object, err)
	}
	if r, err = admitYAML(t, []byte(debugged), old); err != nil || r.Change != admit.None {
		t.Errorf("what get shows, applied: change %d, %v", r.Change, err)
	}
	_, err = admitYAML(t, []byte(strings.Replace(debugged, "first", "second", 1)), old)
	if err == nil || !strings.Contains(err.Error(), "pod updates may not change fields other than") {
		t.Errorf("got %v", err)
	}
	_, err = admitYAML(t, []byte(debugged), nil)
	if err == nil || !strings.Contains(err.Error(), "spec.ephemeralContainers: Forbidden: cannot be set on create") {
		t.Errorf("got %v", err)
	}
}
