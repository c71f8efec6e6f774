package admit

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// normal is the path by which the table knows a field: init containers and what
// ephemeral ones share with others are containers, the three probes are "probe".
func normal(path string) string {
	path = strings.Replace(path, "initContainers[]", "containers[]", 1)
	if path != targetPath {
		path = strings.Replace(path, "ephemeralContainers[]", "containers[]", 1)
	}
	for _, kind := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		if rest, ok := strings.CutPrefix(path, "containers[]."+kind); ok {
			return "probe" + rest
		}
	}
	return path
}

// targetPath is the one field that only ephemeral containers have.
const targetPath = "ephemeralContainers[].targetContainerName"

// isLeaf: types that are structs to Go and a single value to Kubernetes.
func isLeaf(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[metav1.Time]():
		return true
	}
	return false
}

// jsonName is a field's key; empty for one whose fields count as the outer's.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// check holds what a spec says against the table, before defaults are added to
// it: everything that is refused, and everything to be warned of.
func (t table) check(spec *corev1.PodSpec) (field.ErrorList, []string) {
	w := walk{table: t}
	w.fields(reflect.ValueOf(spec).Elem(), "", field.NewPath("spec"))
	return w.refused, w.warnings
}

// walk goes through a value. path is a field's as the table has it, at as a
// person finds it.
type walk struct {
	table    table
	refused  field.ErrorList
	warnings []string
}

func (w *walk) fields(v reflect.Value, path string, at *field.Path) {
	for i := range v.NumField() {
		name := jsonName(v.Type().Field(i))
		if name == "" {
			w.fields(v.Field(i), path, at)
			continue
		}
		w.field(v.Field(i), strings.TrimPrefix(path+"."+name, "."), at.Child(name))
	}
}

// field judges what is set, and otherwise goes on below it.
func (w *walk) field(v reflect.Value, path string, at *field.Path) {
	if unset(v) {
		return
	}
	if f, ok := w.table[normal(path)]; ok && f.Support != Honoured {
		w.judge(v, f, at)
		return
	}
	w.below(reflect.Indirect(v), path, at)
}

func (w *walk) below(v reflect.Value, path string, at *field.Path) {
	switch {
	case v.Kind() == reflect.Struct && !isLeaf(v.Type()):
		w.fields(v, path, at)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			w.below(reflect.Indirect(v.Index(i)), path+"[]", at.Index(i))
		}
	case v.Kind() == reflect.Map:
		w.keys(v, path, at)
	}
}

// keys: a key has an entry of its own or falls under that of all.
func (w *walk) keys(m reflect.Value, path string, at *field.Path) {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		own := path + "{" + k.String() + "}"
		if _, ok := w.table[normal(own)]; !ok {
			own = path + "{}"
		}
		if f := w.table[normal(own)]; f.Support != Honoured {
			w.judge(m.MapIndex(k), f, at.Key(k.String()))
		}
	}
}

// unset: absent, or empty, which Kubernetes takes for absent. An empty struct
// that is pointed to is there.
func unset(v reflect.Value) bool {
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

func (w *walk) judge(v reflect.Value, f Field, at *field.Path) {
	if asksNothing(v, f) {
		return
	}
	if f.Support == Meaningless {
		w.warnings = append(w.warnings, fmt.Sprintf("%s: it has no meaning here: %s", at, f.Note))
		return
	}
	text := "not supported yet: " + at.String()
	if f.Note != "" {
		text += " (" + f.Note + ")"
	}
	w.refused = append(w.refused, field.Forbidden(at, text))
}

// asksNothing: a fine value, or an empty object ("lifecycle: {}"). In a volume
// an empty object still says of which kind it is.
func asksNothing(v reflect.Value, f Field) bool {
	v = reflect.Indirect(v)
	if v.Kind() == reflect.Struct && v.IsZero() {
		return !strings.HasPrefix(f.Path, "volumes[].")
	}
	return slices.Contains(f.Fine, fmt.Sprint(v))
}
