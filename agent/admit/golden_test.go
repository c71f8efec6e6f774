package admit_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"github.com/podd-io/podd/agent/admit"
)

var rewrite = flag.Bool("rewrite", false, "write what was expected anew")

// admitYAML admits a manifest, whose kind is in it, in the place of old.
func admitYAML(t *testing.T, manifest []byte, old admit.Object) (admit.Result, error) {
	t.Helper()
	raw, err := yaml.YAMLToJSON(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var of struct{ Kind string }
	if err := yaml.Unmarshal(manifest, &of); err != nil {
		t.Fatal(err)
	}
	return admit.New().Admit(of.Kind, raw, old)
}

// told is what a person gets to see of an admission: the error with its causes,
// or the warnings and the object with its defaults.
func told(t *testing.T, r admit.Result, err error) []byte {
	t.Helper()
	var out bytes.Buffer
	if err == nil {
		for _, w := range r.Warnings {
			fmt.Fprintf(&out, "# Warning: %s\n", w)
		}
		text, err := yaml.Marshal(r.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
		return out.Bytes()
	}
	status := &apierrors.StatusError{}
	if !errors.As(err, &status) {
		t.Fatalf("not a status: %v", err)
	}
	fmt.Fprintf(&out, "%s: %s\n", status.ErrStatus.Reason, status.ErrStatus.Message)
	if status.ErrStatus.Details != nil {
		for _, c := range status.ErrStatus.Details.Causes {
			fmt.Fprintf(&out, "- %s: %s\n", c.Field, c.Message)
		}
	}
	return out.Bytes()
}

// Every manifest in testdata is admitted as the file beside it says.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".yaml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			manifest, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := admitYAML(t, manifest, nil)
			compare(t, base+".golden", told(t, r, err))
			if err == nil {
				admitAgain(t, r)
			}
		})
	}
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is something else (-rewrite accepts it):\n%s", path, got)
	}
}

// admitAgain: what `get` shows can be applied. Nothing that the defaults added
// is refused, warned of, or a change; and the old object stays as it is.
func admitAgain(t *testing.T, first admit.Result) {
	t.Helper()
	text, err := yaml.Marshal(first.Object)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := admitYAML(t, text, nil)
	if err != nil {
		t.Fatalf("its own output is refused: %v", err)
	}
	if !equality.Semantic.DeepEqual(fresh.Object, first.Object) {
		t.Errorf("admitted once more it is another object:\n%s", told(t, fresh, nil))
	}
	if len(fresh.Warnings) > len(first.Warnings) {
		t.Errorf("the defaults are warned of: %q", fresh.Warnings)
	}
	if first.Object.GetName() == "" {
		return // who updates has a name
	}
	old := stored(first.Object)
	before := old.DeepCopyObject()
	if r, err := admitYAML(t, text, old); err != nil || r.Change != admit.None {
		t.Errorf("the same manifest again: change %d, %v", r.Change, err)
	}
	if !equality.Semantic.DeepEqual(old, before) {
		t.Error("the old object was changed")
	}
}

// stored is an object with what the agent adds to it.
func stored(obj admit.Object) admit.Object {
	obj = obj.DeepCopyObject().(admit.Object)
	obj.SetUID("6d1d3e9a-7a4b-4f6d-9d55-0d6c8f1f0a01")
	obj.SetResourceVersion("17")
	obj.SetGeneration(3)
	if p, ok := obj.(*corev1.Pod); ok {
		p.Spec.NodeName = "here"
		p.Status.Phase = corev1.PodRunning
	}
	return obj
}
