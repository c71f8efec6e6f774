package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// selection is what the arguments and flags of a verb point at.
type selection struct {
	allNamespaces  bool
	labels, fields string
	targets        []target
}

// target is one object by name or, without a name, all of a kind.
type target struct {
	kind kind
	name string
}

func (sel *selection) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVarP(&sel.allNamespaces, "all-namespaces", "A", false, "in all namespaces")
	flags.StringVarP(&sel.labels, "selector", "l", "", "only objects whose labels match, such as app=web,tier!=db")
	flags.StringVar(&sel.fields, "field-selector", "", "only objects whose fields match, such as status.phase=Running")
}

// parse reads arguments of the forms KIND[,KIND...] [NAME...] and KIND/NAME....
func (sel *selection) parse(args []string) error {
	if len(args) == 0 {
		return errors.New("you must specify the type of resource, such as pods; the short names of kubectl are known too")
	}
	var err error
	if strings.Contains(args[0], "/") {
		sel.targets, err = parsePairs(args)
	} else {
		sel.targets, err = parseKinds(args[0], args[1:])
	}
	switch {
	case err != nil:
		return err
	case sel.named() && (sel.labels != "" || sel.fields != ""):
		return errors.New("name cannot be provided when a selector is specified")
	case sel.named() && sel.allNamespaces:
		return errors.New("a resource cannot be retrieved by name across all namespaces")
	}
	return nil
}

// named tells whether objects are named one by one.
func (sel *selection) named() bool {
	return len(sel.targets) > 0 && sel.targets[0].name != ""
}

func parsePairs(args []string) ([]target, error) {
	var targets []target
	for _, arg := range args {
		word, name, found := strings.Cut(arg, "/")
		if !found || word == "" || name == "" {
			return nil, fmt.Errorf("there is a name without its resource type among arguments in resource/name form: %q", arg)
		}
		k, err := kindOf(word)
		if err != nil {
			return nil, err
		}
		if strings.Contains(name, "/") && !k.isImage() {
			return nil, fmt.Errorf("arguments in resource/name form may not have more than one slash: %q", arg)
		}
		targets = append(targets, target{k, name})
	}
	return targets, nil
}

func parseKinds(words string, names []string) ([]target, error) {
	var targets []target
	for word := range strings.SplitSeq(words, ",") {
		k, err := kindOf(word)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			targets = append(targets, target{kind: k})
		}
		for _, name := range names {
			if strings.Contains(name, "/") && !k.isImage() {
				return nil, fmt.Errorf("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'podctl get %s' instead of 'podctl get %s %s')", name, words, name)
			}
			targets = append(targets, target{k, name})
		}
	}
	return targets, nil
}

// space is the namespace in which the verb looks for things of a kind; empty
// is all, or none.
func (sel *selection) space(s *session, k kind) string {
	if sel.allNamespaces || k.cluster {
		return ""
	}
	return s.space()
}

// objects reads what is selected. What was found is returned even when
// something else was not.
func (sel *selection) objects(ctx context.Context, s *session, c *client) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	var wrong []error
	for _, t := range sel.targets {
		namespace := sel.space(s, t.kind)
		var found []*unstructured.Unstructured
		var err error
		if t.name == "" {
			found, err = c.list(ctx, t.kind, namespace, sel.labels, sel.fields)
		} else {
			var object *unstructured.Unstructured
			if object, err = c.get(ctx, ref{kind: t.kind, namespace: namespace, name: t.name}); err == nil {
				found = append(found, object)
			}
		}
		all = append(all, found...)
		wrong = append(wrong, err)
		if _, answered := grpcStatus(err); err != nil && !isNotFound(err) && answered {
			break
		}
	}
	return all, errors.Join(wrong...)
}

// refs names what is selected: the named ones as they are, whether they exist
// or not, the others by listing.
func (sel *selection) refs(ctx context.Context, s *session, c *client) ([]ref, error) {
	var refs []ref
	for _, t := range sel.targets {
		namespace := sel.space(s, t.kind)
		if t.name != "" {
			refs = append(refs, ref{kind: t.kind, namespace: namespace, name: t.name})
			continue
		}
		objects, err := c.list(ctx, t.kind, namespace, sel.labels, sel.fields)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			refs = append(refs, refOf(object))
		}
	}
	return refs, nil
}

func refOf(object *unstructured.Unstructured) ref {
	return ref{
		kind: kindNamed(object.GetKind()), namespace: object.GetNamespace(),
		name: object.GetName(), uid: object.GetUID(),
	}
}
