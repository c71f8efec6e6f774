package table

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0B", 1023: "1023B", 1024: "1.0KiB", 102_348: "99.9KiB", 102_400: "100KiB",
		1<<20 - 1: "1.0MiB", 5 << 20: "5.0MiB", 3 << 30: "3.0GiB", 5 << 50: "5120TiB",
	} {
		if got := Size(bytes); got != want {
			t.Errorf("Size(%d) = %s, want %s", bytes, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "90s", 10 * time.Minute: "10m", 25 * time.Hour: "25h", 72 * time.Hour: "3d", -time.Second: "0s",
	} {
		if got := Age(ago(d), now); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
	if got := Age(metav1.Time{}, now); got != "<unknown>" {
		t.Errorf("got %s", got)
	}
}

// An event's times and count are where the API by which it was made puts them.
func TestEventTimes(t *testing.T) {
	for name, test := range map[string]struct {
		event       corev1.Event
		first, last time.Duration
		count       int64
	}{
		"old":    {corev1.Event{FirstTimestamp: ago(time.Hour), LastTimestamp: ago(time.Minute), Count: 3}, time.Hour, time.Minute, 3},
		"new":    {corev1.Event{EventTime: metav1.MicroTime(ago(time.Hour))}, time.Hour, time.Hour, 1},
		"series": {corev1.Event{EventTime: metav1.MicroTime(ago(time.Hour)), Series: &corev1.EventSeries{Count: 9, LastObservedTime: metav1.MicroTime(ago(time.Second))}}, time.Hour, time.Second, 9},
	} {
		first, last := EventFirst(&test.event), EventLast(&test.event)
		if !first.Equal(&[]metav1.Time{ago(test.first)}[0]) || !last.Equal(&[]metav1.Time{ago(test.last)}[0]) || EventCount(&test.event) != test.count {
			t.Errorf("%s: %s, %s, %d", name, first, last, EventCount(&test.event))
		}
	}
}

// A kind without a layout of its own, and a node that can't take pods.
func TestOtherKinds(t *testing.T) {
	node := map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n", "labels": map[string]any{"kubernetes.io/role": "b", "node-role.kubernetes.io/a": ""}},
		"spec":   map[string]any{"unschedulable": true},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "False"}}},
	}
	other := map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "w"}}
	for kind, test := range map[string]struct {
		object map[string]any
		want   []any
	}{
		"Node":   {node, []any{"n", "NotReady,SchedulingDisabled", "a,b", "<unknown>", ""}},
		"Widget": {other, []any{"w", "<unknown>"}},
	} {
		table, err := For(kind).Table([]*unstructured.Unstructured{{Object: test.object}}, now)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range test.want {
			if got := table.Rows[0].Cells[i]; got != want {
				t.Errorf("%s: cell %d is %v, want %v", kind, i, got, want)
			}
		}
	}
}

// An object that is not what its kind says is an error, not a panic.
func TestMalformedObject(t *testing.T) {
	object := &unstructured.Unstructured{Object: map[string]any{"kind": "Pod", "spec": "x"}}
	if _, err := For("Pod").Table([]*unstructured.Unstructured{object}, now); err == nil {
		t.Error("no error")
	}
}
