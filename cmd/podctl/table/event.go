package table

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func eventLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{
			column("Last Seen"), column("Type"), column("Reason"), column("Object"),
			wide("Subobject"), wide("Source"), column("Message"), wide("First Seen"), wide("Count"),
			{Name: "Name", Type: "string", Format: "name", Priority: 1},
		},
		cells: typed(eventCells),
	}
}

func eventCells(e *corev1.Event, now time.Time) []any {
	object := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		object += "/" + e.InvolvedObject.Name
	}
	return []any{
		Age(EventLast(e), now), e.Type, e.Reason, object,
		e.InvolvedObject.FieldPath, eventSource(e), strings.TrimSpace(e.Message), Age(EventFirst(e), now), EventCount(e),
		e.Name,
	}
}

// EventFirst is when an event was first seen. An event has its times in one of
// several places, by the API by which it was made.
func EventFirst(e *corev1.Event) metav1.Time {
	if e.FirstTimestamp.IsZero() {
		return metav1.Time(e.EventTime)
	}
	return e.FirstTimestamp
}

// EventLast is when an event was last seen.
func EventLast(e *corev1.Event) metav1.Time {
	switch {
	case e.Series != nil:
		return metav1.Time(e.Series.LastObservedTime)
	case e.LastTimestamp.IsZero():
		return EventFirst(e)
	}
	return e.LastTimestamp
}

// EventCount is how often an event was seen, at least once.
func EventCount(e *corev1.Event) int64 {
	if e.Series != nil {
		return int64(e.Series.Count)
	}
	return int64(max(e.Count, 1))
}

func eventSource(e *corev1.Event) string {
	source := or(e.Source.Component, e.ReportingController)
	if host := or(e.Source.Host, e.ReportingInstance); host != "" {
		source += ", " + host
	}
	return source
}
