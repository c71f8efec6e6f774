package admit_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"github.com/podd-io/podd/agent/admit"
)

// Whatever comes is admitted or refused with a status, and what was admitted
// can be admitted again and is no change.
func FuzzAdmit(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		manifest, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		raw, err := yaml.YAMLToJSON(manifest)
		if err != nil {
			f.Fatal(err)
		}
		kind, _, _ := strings.Cut(filepath.Base(file), "-")
		f.Add(kind, raw)
	}
	kinds := map[string]string{"pod": "Pod", "configmap": "ConfigMap", "secret": "Secret"}
	a := admit.New()
	f.Fuzz(func(t *testing.T, kind string, raw []byte) {
		kind = kinds[strings.TrimSuffix(kind, ".yaml")]
		r, err := a.Admit(kind, raw, nil)
		if err != nil {
			if status := (*apierrors.StatusError)(nil); !errors.As(err, &status) {
				t.Fatalf("not a status: %v", err)
			}
			return
		}
		if r.Object.GetName() == "" {
			return
		}
		again, err := json.Marshal(r.Object)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := a.Admit(kind, again, r.Object); err != nil || r.Change != admit.None {
			t.Errorf("again: change %d, %v\n%s", r.Change, err, again)
		}
	})
}
