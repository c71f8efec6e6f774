package admit

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// leaves are the paths of all fields of a type that hold a value themselves.
func leaves(t reflect.Type, path string, out map[string]bool) {
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[metav1.Time]():
		out[path] = true
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		leaves(t.Elem(), path, out)
	case reflect.Slice:
		leaves(t.Elem(), path+"[]", out)
	case reflect.Map:
		leaves(t.Elem(), path+"{}", out)
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			below := path
			if name != "" {
				below = strings.TrimPrefix(path+"."+name, ".")
			}
			leaves(t.Field(i).Type, below, out)
		}
	default:
		out[path] = true
	}
}

// covers tells which entry speaks for a leaf: an honoured one by its own path,
// any other for all below it.
func covers(tab table, leaf string) (Field, bool) {
	leaf = normal(leaf)
	if f, ok := tab[leaf]; ok {
		return f, true
	}
	for _, f := range tab {
		if f.Support == Honoured {
			continue
		}
		rest, ok := strings.CutPrefix(leaf, f.Path)
		if ok && (rest[0] == '.' || rest[0] == '[' || rest[0] == '{') {
			return f, true
		}
	}
	return Field{}, false
}

func TestEveryFieldOfAPodHasAnEntry(t *testing.T) {
	all := map[string]bool{}
	leaves(reflect.TypeFor[corev1.PodSpec](), "", all)
	tab, used := newTable(), map[string]bool{}
	for leaf := range all {
		f, ok := covers(tab, leaf)
		if !ok {
			t.Errorf("spec.%s is not in the table: say whether it is honoured, refused or meaningless", leaf)
		}
		used[f.Path] = true
	}
	for _, f := range Fields() {
		key := strings.HasPrefix(f.Path, "containers[].resources.") // keys of a map
		if !used[f.Path] && !key {
			t.Errorf("the table has spec.%s, which is no field of a pod", f.Path)
		}
		if f.Support == Meaningless && f.Note == "" {
			t.Errorf("spec.%s: why has it no meaning?", f.Path)
		}
	}
}

func TestNoFieldHasTwoEntries(t *testing.T) {
	if fields := Fields(); len(newTable()) != len(fields) {
		t.Errorf("%d entries for %d paths", len(fields), len(newTable()))
	}
}

// Every entry that is not honoured has to be found by the walk through a spec,
// from wherever its value is: a value of each kind is put there and looked for.
func TestEveryRefusedFieldIsFound(t *testing.T) {
	for _, f := range Fields() {
		if f.Support == Honoured {
			continue
		}
		for _, path := range places(f.Path) {
			spec := &corev1.PodSpec{}
			set(reflect.ValueOf(spec).Elem(), split(path), slices.Contains(f.Fine, "false"))
			refused, warnings := newTable().check(spec)
			if len(refused)+len(warnings) != 1 || (f.Support == Meaningless) != (len(warnings) == 1) {
				t.Errorf("spec.%s: refused %v, warned %q", path, refused, warnings)
			}
		}
	}
}

// places are where a path of the table may be in a spec.
func places(path string) []string {
	out := []string{path}
	if rest, ok := strings.CutPrefix(path, "probe"); ok {
		out = nil
		for _, kind := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
			out = append(out, "containers[]."+kind+rest)
		}
	}
	for _, p := range out {
		if strings.HasPrefix(p, "containers[]") {
			out = append(out, "initC"+p[1:], "ephemeralC"+p[1:])
		}
	}
	return out
}

// split takes a path apart: "a[].b{}" is a, [], b, {}.
func split(path string) []string {
	path = strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(path)
	return strings.Split(path, ".")
}

// set puts something where the path leads to; flag if that is a bool.
func set(v reflect.Value, path []string, flag bool) {
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem(), path, flag)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0), strip(path, "[]"), flag)
	case v.Kind() == reflect.Map:
		elem := reflect.New(v.Type().Elem()).Elem()
		set(elem, strip(path, "{}"), flag)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("example.com/key").Convert(v.Type().Key()), elem)
	case v.Type() == reflect.TypeFor[resource.Quantity]():
		v.Set(reflect.ValueOf(resource.MustParse("1")))
	case v.Type() == reflect.TypeFor[intstr.IntOrString]():
		v.Set(reflect.ValueOf(intstr.FromInt32(7)))
	case v.Kind() == reflect.Struct:
		setField(v, path, flag)
	case v.Kind() == reflect.String:
		v.SetString("something")
	case v.Kind() == reflect.Bool:
		v.SetBool(flag) // a pointer to false is set as well
	default:
		v.SetInt(7)
	}
}

// setField goes on in the field that the path names, or in the first one that
// can hold anything when it names none.
func setField(v reflect.Value, path []string, flag bool) {
	for i := range v.NumField() {
		switch name := jsonName(v.Type().Field(i)); {
		case name == "" && has(v.Field(i).Type(), path):
			set(v.Field(i), path, flag)
			return
		case len(path) == 0 || name == path[0]:
			set(v.Field(i), strip(path, name), flag)
			return
		}
	}
}

// has says whether an inlined struct has the path's field.
func has(t reflect.Type, path []string) bool {
	for i := range t.NumField() {
		if name := jsonName(t.Field(i)); len(path) == 0 || name == path[0] || name == "" && has(t.Field(i).Type, path) {
			return true
		}
	}
	return false
}

func strip(path []string, first string) []string {
	if len(path) > 0 && path[0] == first {
		return path[1:]
	}
	return path
}
