package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/podd-io/podd/cmd/podctl/table"
)

// eventsOf are the events about an object, the last one last.
func (c *client) eventsOf(ctx context.Context, r ref) ([]corev1.Event, error) {
	selector := fmt.Sprintf("involvedObject.kind=%s,involvedObject.name=%s", r.kind.name, r.name)
	if r.namespace != "" {
		selector += ",involvedObject.namespace=" + r.namespace
	}
	if r.uid != "" {
		selector += ",involvedObject.uid=" + string(r.uid)
	}
	objects, err := c.list(ctx, kindNamed("Event"), r.namespace, "", selector)
	if err != nil {
		return nil, err
	}
	events := make([]corev1.Event, len(objects))
	for i, object := range objects {
		event, err := typed[corev1.Event](object)
		if err != nil {
			return nil, err
		}
		events[i] = *event
	}
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return compareEvents(&a, &b) })
	return events, nil
}

// sortEvents orders events by time, as people read them; anything else stays
// as it is. kubectl leaves events in the order of their names.
func sortEvents(objects []*unstructured.Unstructured) error {
	events := make(map[*unstructured.Unstructured]*corev1.Event, len(objects))
	for _, object := range objects {
		if object.GetKind() != "Event" {
			return nil
		}
		event, err := typed[corev1.Event](object)
		if err != nil {
			return err
		}
		events[object] = event
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return compareEvents(events[a], events[b]) })
	return nil
}

// compareEvents orders by when events were last seen. Their times are in
// seconds; within one the revision tells, which podd only ever raises.
func compareEvents(a, b *corev1.Event) int {
	return cmp.Or(
		table.EventLast(a).Compare(table.EventLast(b).Time),
		cmp.Compare(revision(a), revision(b)),
	)
}

func revision(e *corev1.Event) uint64 {
	n, err := strconv.ParseUint(e.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
