package admit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// byPath finds the table's entries.
var byPath = func() map[string]Field {
	m := make(map[string]Field, len(Table))
	for _, f := range Table {
		m[f.Path] = f
	}
	return m
}()

// normal is the path by which the table knows a field.
func normal(path string) string {
	path = strings.Replace(path, "initContainers[]", "containers[]", 1)
	for _, kind := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		if rest, ok := strings.CutPrefix(path, "containers[]."+kind); ok {
			return "probe" + rest
		}
	}
	return path
}

// checkFields holds what a manifest says, not what defaults add, against the
// table: what is refused, all of it, and what is warned of.
func checkFields(raw []byte) (refused field.ErrorList, warnings []string, err error) {
	var manifest struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, nil, err
	}
	w := walker{}
	w.object(manifest.Spec, "", field.NewPath("spec"))
	return w.refused, w.warnings, nil
}

// walker goes through a manifest. path is as the table has it, at as a person
// finds it.
type walker struct {
	refused  field.ErrorList
	warnings []string
}

func (w *walker) object(m map[string]any, path string, at *field.Path) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		below := strings.TrimPrefix(path+"."+key, ".")
		w.value(m[key], below, at.Child(key))
	}
}

func (w *walker) value(v any, path string, at *field.Path) {
	entry, known := byPath[normal(path)]
	if !known {
		entry, known = byPath[normal(parent(path))+"{}"]
	}
	if known && entry.Support != Honoured {
		w.judge(v, path, entry, at)
		return
	}
	switch v := v.(type) {
	case map[string]any:
		w.object(v, path, at)
	case []any:
		for i, item := range v {
			w.value(item, path+"[]", at.Index(i))
		}
	}
}

// parent of a map's key.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}

func (w *walker) judge(v any, path string, f Field, at *field.Path) {
	// An empty volume source still says which kind it is.
	if isEmpty(v) && !strings.HasPrefix(path, "volumes[].") || fine(v, f) {
		return
	}
	if f.Support == Meaningless {
		w.warnings = append(w.warnings, fmt.Sprintf("%s: it has no meaning here: %s", at, f.Why))
		return
	}
	text := "not supported yet: " + at.String()
	if f.Why != "" {
		text += " (" + f.Why + ")"
	}
	w.refused = append(w.refused, field.Forbidden(at, text))
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	}
	return false
}

// fine tells a value that needs no support. One inside an object (os.name)
// counts as the object.
func fine(v any, f Field) bool {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		for _, only := range m {
			return fine(only, f)
		}
	}
	return slices.Contains(f.Fine, text(v))
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}
