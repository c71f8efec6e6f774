package table

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
)

const (
	none    = "<none>"
	unknown = "<unknown>"
)

// Layout is how the objects of one kind are shown.
type Layout struct {
	// Columns with a priority other than 0 are shown only when asked for.
	Columns []metav1.TableColumnDefinition
	cells   func(object *unstructured.Unstructured, now time.Time) ([]any, error)
}

// For is the layout of a kind; a kind that has none of its own is shown by name
// and age.
func For(kind string) Layout {
	switch kind {
	case "Pod":
		return podLayout()
	case "ConfigMap":
		return configMapLayout()
	case "Secret":
		return secretLayout()
	case "Event":
		return eventLayout()
	case "Node":
		return nodeLayout()
	case "Image":
		return imageLayout()
	case "Namespace":
		return namespaceLayout()
	case "PersistentVolumeClaim":
		return claimLayout()
	case "RuntimeClass":
		return runtimeClassLayout()
	case "PriorityClass":
		return priorityClassLayout()
	}
	return Layout{
		Columns: []metav1.TableColumnDefinition{name(), column("Age")},
		cells: func(object *unstructured.Unstructured, now time.Time) ([]any, error) {
			return []any{object.GetName(), Age(object.GetCreationTimestamp(), now)}, nil
		},
	}
}

// Table is the objects, all of the layout's kind, as they are at now.
func (l Layout) Table(objects []*unstructured.Unstructured, now time.Time) (*metav1.Table, error) {
	table := &metav1.Table{ColumnDefinitions: l.Columns}
	for _, object := range objects {
		cells, err := l.cells(object, now)
		if err != nil {
			return nil, fmt.Errorf("show %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: object}})
	}
	return table, nil
}

// Age is how long ago something was, as kubectl writes it: 5s, 3m12s, 4d.
func Age(then metav1.Time, now time.Time) string {
	if then.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(then.Time))
}

func column(name string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string"}
}

// name is the column that -o wide's prefixes and several kinds at once need.
func name() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name"}
}

// wide is a column that is shown only when asked for.
func wide(name string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Priority: 1}
}

// typed makes cells from an object of its Go type.
func typed[T any](cells func(object *T, now time.Time) []any) func(*unstructured.Unstructured, time.Time) ([]any, error) {
	return func(object *unstructured.Unstructured, now time.Time) ([]any, error) {
		var value T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &value); err != nil {
			return nil, err
		}
		return cells(&value, now), nil
	}
}

func configMapLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{name(), column("Data"), column("Age")},
		cells: typed(func(cm *corev1.ConfigMap, now time.Time) []any {
			return []any{cm.Name, int64(len(cm.Data) + len(cm.BinaryData)), Age(cm.CreationTimestamp, now)}
		}),
	}
}

func secretLayout() Layout {
	return Layout{
		Columns: []metav1.TableColumnDefinition{name(), column("Type"), column("Data"), column("Age")},
		cells: typed(func(secret *corev1.Secret, now time.Time) []any {
			return []any{secret.Name, string(secret.Type), int64(len(secret.Data)), Age(secret.CreationTimestamp, now)}
		}),
	}
}

// or is value, or instead when there is none.
func or(value, instead string) string {
	if value == "" {
		return instead
	}
	return value
}
