package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/podd-io/podd/api/manifest"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// manifests are the files that a verb takes objects from.
type manifests struct {
	files     []string
	recursive bool
}

func (m *manifests) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&m.files, "filename", "f", nil, "a file or a directory of manifests, YAML or JSON; - is standard input")
	flags.BoolVarP(&m.recursive, "recursive", "R", false, "with the directories below the one given with -f")
	_ = cmd.MarkFlagFilename("filename", "json", "yaml", "yml")
}

// load reads all objects, in the namespace in force if they name none.
func (m *manifests) load(s *session) ([]*unstructured.Unstructured, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	docs, err := manifest.Load(s.in, m.recursive, m.files...)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, fmt.Errorf("no objects passed")
	}
	objects := make([]*unstructured.Unstructured, 0, len(docs))
	for _, doc := range docs {
		object, err := decode(doc.Object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doc, err)
		}
		if err := s.place(object); err != nil {
			return nil, fmt.Errorf("%s: %w", doc, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// place puts an object that names no namespace into that of -n or of the
// context. Another than that of -n it must not name.
func (s *session) place(object *unstructured.Unstructured) error {
	if kindNamed(object.GetKind()).cluster {
		return nil
	}
	switch own := object.GetNamespace(); {
	case own == "":
		object.SetNamespace(cmp.Or(s.namespace, s.inForce.Namespace))
	case s.namespace != "" && own != s.namespace:
		return fmt.Errorf("the namespace from the provided object %q does not match the namespace %q. You must pass '--namespace=%s' to perform this operation",
			object.GetNamespace(), s.namespace, object.GetNamespace())
	}
	return nil
}

// encode is an object as the API carries it.
func encode(object *unstructured.Unstructured) (*poddv1.Object, error) {
	text, err := object.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return &poddv1.Object{ApiVersion: object.GetAPIVersion(), Kind: object.GetKind(), Json: text}, nil
}
