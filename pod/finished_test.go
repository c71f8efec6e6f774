package pod

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestExpire(t *testing.T) {
	now := time.Unix(10000, 0)
	ago := func(uid string, age time.Duration, ttl ...time.Duration) FinishedPod {
		p := FinishedPod{UID: types.UID(uid), At: now.Add(-age)}
		if len(ttl) > 0 {
			p.TTL = &ttl[0]
		}
		return p
	}
	three := []FinishedPod{ago("b", 2*time.Minute), ago("a", time.Minute), ago("c", 3*time.Minute)}
	for name, c := range map[string]struct {
		policy FinishedPolicy
		all    []FinishedPod
		want   string
		next   time.Duration
	}{
		"none":              {},
		"kept for ever":     {all: three},
		"a TTL":             {policy: FinishedPolicy{TTL: 2 * time.Minute}, all: three, want: "[{b it finished 2m0s ago} {c it finished 3m0s ago}]", next: time.Minute},
		"a limit":           {policy: FinishedPolicy{Max: 2}, all: three, want: "[{c 2 pods finished after it, and no more are kept}]"},
		"both":              {policy: FinishedPolicy{TTL: 3 * time.Minute, Max: 1}, all: three, want: "[{b 1 pods finished after it, and no more are kept} {c it finished 3m0s ago}]", next: 2 * time.Minute},
		"its own is longer": {policy: FinishedPolicy{TTL: time.Second}, all: []FinishedPod{ago("a", time.Minute, time.Hour)}, next: 59 * time.Minute},
		"its own is none":   {all: []FinishedPod{ago("a", 0, 0), ago("b", 0)}, want: "[{a it finished 0s ago}]"},
		"set back":          {policy: FinishedPolicy{TTL: time.Minute}, all: []FinishedPod{ago("a", -time.Hour)}, next: 61 * time.Minute},
	} {
		got, next := Expire(now, c.policy, c.all)
		if text := fmt.Sprint(got); text != c.want && len(got) > 0 || c.want == "" != (len(got) == 0) {
			t.Errorf("%s: %s", name, text)
		}
		if c.next == 0 != next.IsZero() || c.next > 0 && !next.Equal(now.Add(c.next)) {
			t.Errorf("%s: next %v", name, next.Sub(now))
		}
	}
}

func TestFinishedTTLOf(t *testing.T) {
	for text, want := range map[string]string{"": "<nil>", " 10m ": "10m0s", "0s": "0s", "-1s": "error", "10": "error", "soon": "error"} {
		d, err := FinishedTTLOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{FinishedTTLAnnotation: text}}})
		got := "<nil>"
		switch {
		case err != nil:
			got = "error"
		case d != nil:
			got = d.String()
		}
		if got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}
