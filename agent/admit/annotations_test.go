package admit_test

import (
	"strings"
	"testing"
)

// TestRestartPeriodAnnotation: what is no duration within the bounds is refused
// by name.
func TestRestartPeriodAnnotation(t *testing.T) {
	const manifest = `
apiVersion: v1
kind: Pod
metadata: {name: web, annotations: {podd.io/max-container-restart-period: PERIOD}}
spec: {containers: [{name: web, image: nginx}]}
`
	for period, fine := range map[string]bool{"30s": true, "1h": true, "soon": false, "10ms": false, "2h": false} {
		r, err := admitYAML(t, []byte(strings.Replace(manifest, "PERIOD", period, 1)), nil)
		switch {
		case fine && (err != nil || len(r.Warnings) > 0):
			t.Errorf("%s: %v, warnings %q", period, err, r.Warnings)
		case !fine && (err == nil || !strings.Contains(err.Error(), "metadata.annotations[podd.io/max-container-restart-period]")):
			t.Errorf("%s: %v", period, err)
		}
	}
}
