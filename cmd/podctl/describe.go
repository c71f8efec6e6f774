package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/podd-io/podd/cmd/podctl/describe"
)

func newDescribe(s *session) *cobra.Command {
	var sel selection
	cmd := &cobra.Command{
		Use:               "describe KIND [NAME...] | KIND/NAME...",
		Short:             "Show objects in detail, with their events",
		Long:              "Show pods, configmaps, secrets or nodes in detail, with their events. A name that no object has may be the beginning of several.",
		Example:           "  podctl describe pod web\n  podctl describe pods -l app=web\n  podctl describe node",
		ValidArgsFunction: s.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := sel.parse(args); err != nil {
				return err
			}
			return runDescribe(cmd.Context(), s, &sel)
		},
	}
	sel.addFlags(cmd)
	return cmd
}

func runDescribe(ctx context.Context, s *session, sel *selection) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	objects, wrong := sel.objects(ctx, s, c)
	if isNotFound(wrong) && len(sel.targets) == 1 && sel.named() {
		if objects, err = beginningWith(ctx, s, c, sel); err == nil && len(objects) > 0 {
			wrong = nil
		}
	}
	for i, object := range objects {
		if i > 0 {
			fmt.Fprint(s.out, "\n\n")
		}
		if err := describeObject(ctx, s, c, object); err != nil {
			return errors.Join(wrong, err)
		}
	}
	if len(objects) == 0 && wrong == nil {
		(&getFlags{selection: *sel}).sayEmpty(s)
	}
	return wrong
}

// beginningWith are the objects whose names begin with the one that is asked
// for.
func beginningWith(ctx context.Context, s *session, c *client, sel *selection) ([]*unstructured.Unstructured, error) {
	t := sel.targets[0]
	all, err := c.list(ctx, t.kind, sel.space(s, t.kind), "", "")
	if err != nil {
		return nil, err
	}
	var some []*unstructured.Unstructured
	for _, object := range all {
		if strings.HasPrefix(object.GetName(), t.name) {
			some = append(some, object)
		}
	}
	return some, nil
}

func describeObject(ctx context.Context, s *session, c *client, object *unstructured.Unstructured) error {
	switch object.GetKind() {
	case "Pod", "ConfigMap", "Secret", "Node":
	default:
		return fmt.Errorf("no description has been implemented for %q", object.GetKind())
	}
	r := refOf(object)
	events, err := c.eventsOf(ctx, r)
	if err != nil {
		return err
	}
	switch r.kind.name {
	case "Pod":
		pod, err := typed[corev1.Pod](object)
		if err != nil {
			return err
		}
		return describe.Pod(s.out, pod, events, s.now())
	case "ConfigMap":
		cm, err := typed[corev1.ConfigMap](object)
		if err != nil {
			return err
		}
		return describe.ConfigMap(s.out, cm, events, s.now())
	case "Secret":
		secret, err := typed[corev1.Secret](object)
		if err != nil {
			return err
		}
		return describe.Secret(s.out, secret, events, s.now())
	}
	return describeNode(ctx, s, c, object, events)
}

func describeNode(ctx context.Context, s *session, c *client, object *unstructured.Unstructured, events []corev1.Event) error {
	node, err := typed[corev1.Node](object)
	if err != nil {
		return err
	}
	objects, err := c.list(ctx, kindNamed("Pod"), "", "", "")
	if err != nil {
		return err
	}
	pods := make([]corev1.Pod, 0, len(objects))
	for _, object := range objects {
		pod, err := typed[corev1.Pod](object)
		if err != nil {
			return err
		}
		pods = append(pods, *pod)
	}
	return describe.Node(s.out, node, pods, events, s.now())
}

// typed is an object in its Go type.
func typed[T any](object *unstructured.Unstructured) (*T, error) {
	value := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, value); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return value, nil
}
