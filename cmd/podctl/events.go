package main

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

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
	slices.SortStableFunc(events, func(a, b corev1.Event) int {
		return table.EventLast(&a).Compare(table.EventLast(&b).Time)
	})
	return events, nil
}
