package table

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// imageLayout shows images as podctl's images verb makes them: there is no
// such kind in Kubernetes.
func imageLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{
			name(), column("Image ID"), column("Size"), column("Age"), wide("Pinned"), wide("Digests"),
		},
		cells: imageCells,
	}
}

func imageCells(image *unstructured.Unstructured, now time.Time) ([]any, error) {
	id, _, _ := unstructured.NestedString(image.Object, "id")
	size, _, _ := unstructured.NestedInt64(image.Object, "size")
	pinned, _, _ := unstructured.NestedBool(image.Object, "pinned")
	digests, _, _ := unstructured.NestedStringSlice(image.Object, "digests")
	return []any{
		image.GetName(), shortDigest(id), Size(size), Age(image.GetCreationTimestamp(), now),
		pinned, or(strings.Join(digests, ","), none),
	}, nil
}

// shortDigest is a digest's first 12 digits, as crictl and docker show it.
func shortDigest(id string) string {
	_, digits, found := strings.Cut(id, ":")
	if !found {
		digits = id
	}
	return digits[:min(12, len(digits))]
}
