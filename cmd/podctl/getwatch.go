package main

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/cmd/podctl/table"
)

// runWatch shows what is, unless only changes are asked for, then what changes
// until the caller or podd goes away. It watches one kind, or one object.
func (f *getFlags) runWatch(ctx context.Context, s *session, c *client, printer printers.ResourcePrinter) error {
	if len(f.targets) != 1 {
		return errors.New("you may only specify a single resource type, or one object, to watch")
	}
	t := f.targets[0]
	if t.kind.isImage() {
		return errors.New("images can't be watched")
	}
	req := &poddv1.WatchRequest{
		Kinds: []string{t.kind.name}, Namespace: f.space(s, t.kind),
		LabelSelector: f.labels, FieldSelector: f.fields,
	}
	if t.name != "" {
		r := ref{kind: t.kind, namespace: f.space(s, t.kind), name: t.name}
		if _, err := c.get(ctx, r); err != nil {
			return err
		}
		req = r.watchRequest()
	}
	show := f.shower(s, printer)
	synced := false
	var initial []*unstructured.Unstructured
	return c.watch(ctx, req, func(ch change) (bool, error) {
		switch {
		case ch.kind == poddv1.WatchResponse_TYPE_SYNCED:
			synced = true
			if f.watchOnly || len(initial) == 0 {
				return false, nil
			}
			return false, show("ADDED", initial...)
		case ch.object == nil:
			return false, nil
		case !synced:
			initial = append(initial, ch.object)
			return false, nil
		}
		return false, show(changeName(ch.kind), ch.object)
	})
}

// shower prints objects that came by one kind of change, all tables in the
// same columns.
func (f *getFlags) shower(s *session, printer printers.ResourcePrinter) func(string, ...*unstructured.Unstructured) error {
	w := printers.GetNewTabWriter(s.out)
	var rows printers.ResourcePrinter
	return func(event string, objects ...*unstructured.Unstructured) error {
		if printer != nil {
			for _, object := range objects {
				if err := printer.PrintObj(f.withEvent(event, object), s.out); err != nil {
					return err
				}
			}
			return nil
		}
		if rows == nil {
			rows = f.tablePrinter(objects[0], false)
		}
		shown, err := table.For(objects[0].GetKind()).Table(objects, s.now())
		if err != nil {
			return err
		}
		if err := rows.PrintObj(f.withEvent(event, shown), w); err != nil {
			return err
		}
		return w.Flush()
	}
}

// withEvent wraps what is printed when the kind of change is asked for.
func (f *getFlags) withEvent(event string, object runtime.Object) runtime.Object {
	if !f.watchEvents {
		return object
	}
	return &metav1.WatchEvent{Type: event, Object: runtime.RawExtension{Object: object}}
}

func changeName(t poddv1.WatchResponse_Type) string {
	switch t {
	case poddv1.WatchResponse_TYPE_ADDED:
		return "ADDED"
	case poddv1.WatchResponse_TYPE_DELETED:
		return "DELETED"
	default:
		return "MODIFIED"
	}
}
