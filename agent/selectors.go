package agent

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// matcher is what the selectors of List and Watch come to. No kinds are all.
func matcher(kinds []string, namespace, labelSelector, fieldSelector string) (func(*Entry) bool, error) {
	byLabel, err := labels.Parse(labelSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("label selector: %v", err))
	}
	byField, err := fields.ParseSelector(fieldSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("field selector: %v", err))
	}
	if err := checkFields(kinds, byField); err != nil {
		return nil, err
	}
	return func(e *Entry) bool {
		return (len(kinds) == 0 || slices.Contains(kinds, e.Key.Kind)) &&
			(namespace == "" || e.Key.Namespace == "" || e.Key.Namespace == namespace) &&
			byLabel.Matches(labels.Set(e.Object.GetLabels())) &&
			(byField.Empty() || byField.Matches(fieldsOf(e)))
	}, nil
}

// checkFields refuses fields that no object of the kinds has: they would match
// nothing, or everything.
func checkFields(kinds []string, byField fields.Selector) error {
	if len(kinds) == 0 {
		kinds = readKinds()
	}
	known := fields.Set{}
	for _, kind := range kinds {
		for name := range fieldsOf(&Entry{Object: empty(kind)}) {
			known[name] = ""
		}
	}
	for _, r := range byField.Requirements() {
		if !known.Has(r.Field) {
			var names []string
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			return apierrors.NewBadRequest(fmt.Sprintf("field selector: %q is not known; these are: %s", r.Field, strings.Join(names, ", ")))
		}
	}
	return nil
}

// fieldsOf are the fields that objects can be selected by.
func fieldsOf(e *Entry) fields.Set {
	set := fields.Set{"metadata.name": e.Key.Name, "metadata.namespace": e.Key.Namespace}
	switch obj := e.Object.(type) {
	case *corev1.Pod:
		set["status.phase"] = string(obj.Status.Phase)
		set["spec.nodeName"] = obj.Spec.NodeName
	case *corev1.Event:
		set["involvedObject.kind"] = obj.InvolvedObject.Kind
		set["involvedObject.name"] = obj.InvolvedObject.Name
		set["involvedObject.namespace"] = obj.InvolvedObject.Namespace
		set["involvedObject.uid"] = string(obj.InvolvedObject.UID)
		set["reason"], set["type"] = obj.Reason, obj.Type
	}
	return set
}
