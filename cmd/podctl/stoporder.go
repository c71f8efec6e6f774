package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// inStopOrder has pods that start after others asked to end before them: podd
// then ends them one after the other. Everything else keeps its place. A pod
// that is not there is told of when it is to be deleted.
func inStopOrder(ctx context.Context, c *client, refs []ref) []ref {
	var places []int
	var pods []*corev1.Pod
	of := map[*corev1.Pod]ref{}
	for i, r := range refs {
		if r.kind.name != "Pod" {
			continue
		}
		p := &corev1.Pod{}
		p.Namespace, p.Name = r.namespace, r.name
		if len(refs) > 1 {
			if object, err := c.get(ctx, r); err == nil {
				p.Annotations = object.GetAnnotations()
			}
		}
		places, pods, of[p] = append(places, i), append(pods, p), r
	}
	for i, p := range pod.StopOrder(pods) {
		refs[places[i]] = of[p]
	}
	return refs
}
