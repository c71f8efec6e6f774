package manifest

import (
	"fmt"
	"strings"
	"testing"
)

// places is what was read, one line each: kind, number, line.
func places(docs []Document) string {
	var b strings.Builder
	for _, d := range docs {
		fmt.Fprintf(&b, "%s %s #%d line %d\n", d.Object.GetApiVersion(), d.Object.GetKind(), d.Number, d.Line)
	}
	return b.String()
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":               {"", ""},
		"only comments":         {"# a\n---\n# b\n---\n", ""},
		"null":                  {"---\nnull\n---\n~\n", ""},
		"one":                   {"apiVersion: v1\nkind: Pod\n", "v1 Pod #1 line 1\n"},
		"no newline at the end": {"apiVersion: v1\nkind: Pod", "v1 Pod #1 line 1\n"},
		"carriage returns":      {"apiVersion: v1\r\nkind: Pod\r\n---\r\napiVersion: v1\r\nkind: Secret\r\n", "v1 Pod #1 line 1\nv1 Secret #2 line 4\n"},
		"byte order mark":       {"\ufeffapiVersion: v1\nkind: Pod\n", "v1 Pod #1 line 1\n"},
		"empty ones between": {
			"# licence\n---\napiVersion: v1\nkind: Pod\n---\n# nothing\n---\n\n---\napiVersion: v1\nkind: Secret\n---\n",
			"v1 Pod #1 line 3\nv1 Secret #2 line 10\n",
		},
		"comment at the marker": {"--- # the pod\napiVersion: v1\nkind: Pod\n", "v1 Pod #1 line 2\n"},
		"content at the marker": {"--- {apiVersion: v1, kind: Pod}\n--- {apiVersion: v1, kind: Secret}\n", "v1 Pod #1 line 1\nv1 Secret #2 line 2\n"},
		"end marker":            {"apiVersion: v1\nkind: Pod\n...\napiVersion: v1\nkind: Secret\n", "v1 Pod #1 line 1\nv1 Secret #2 line 4\n"},
		"directive":             {"%YAML 1.1\n---\napiVersion: v1\nkind: Pod\n", "v1 Pod #1 line 3\n"},
		"dashes in a value": {
			"apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    ---\n    x\n  b: ---x\n",
			"v1 ConfigMap #1 line 1\n",
		},
		"JSON with tabs": {"{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\"\n}\n", "v1 Pod #1 line 1\n"},
		"JSON values": {
			"{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}\n{\"apiVersion\":\"v1\",\n\"kind\":\"Secret\"} {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"}",
			"v1 Pod #1 line 1\nv1 Secret #2 line 2\nv1 ConfigMap #3 line 3\n",
		},
		"list": {
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n- apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: Secret}\n",
			"v1 Pod #1 line 1\nv1 Secret #1 line 1\n",
		},
		"typed list": {"apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n", "v1 ConfigMap #1 line 1\n"},
		"empty list": {"apiVersion: v1\nkind: List\nitems: []\n", ""},
		"merge keys and anchors": {
			"apiVersion: v1\nkind: ConfigMap\ndata: &d\n  a: x\nmetadata:\n  labels:\n    <<: *d\n    b: y\n",
			"v1 ConfigMap #1 line 1\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			docs, err := Read(strings.NewReader(test.text), "f.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if got := places(docs); got != test.want {
				t.Errorf("got:\n%swant:\n%s", got, test.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"duplicate key": {
			"apiVersion: v1\nkind: Secret\n---\n# the pod\napiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    image: x\n    image: y\n",
			`f.yaml: document 2 (line 5): line 11: spec.containers[0].image: key "image" is given twice, first in line 10`,
		},
		"duplicate keys": {
			"apiVersion: v1\nkind: Pod\nkind: Pod\nmetadata: {a: 1, a: 2}\n",
			"f.yaml: document 1 (line 1): line 3: kind: key \"kind\" is given twice, first in line 2\n" +
				`line 4: metadata.a: key "a" is given twice, first in line 4`,
		},
		"duplicate key in JSON": {
			"{\"apiVersion\": \"v1\",\n \"kind\": \"Pod\",\n \"kind\": \"Pod\"}",
			`f.yaml: document 1 (line 1): line 3: kind: key "kind" is given twice, first in line 2`,
		},
		"duplicate key in JSON that YAML can't read": {
			`{"apiVersion": "v1", "kind": "Pod", "a": {"b": "\ud83d\ude00", "b": 1}}`,
			`f.yaml: document 1 (line 1): duplicate field "a.b"`,
		},
		"two wrong": {
			"apiVersion: v1\n---\nkind: Pod\n",
			"f.yaml: document 1 (line 1): kind is not set\nf.yaml: document 2 (line 3): apiVersion is not set",
		},
		"neither":     {"a: b\n", "f.yaml: document 1 (line 1): apiVersion and kind are not set"},
		"a text":      {"hello\n", "f.yaml: document 1 (line 1): it is not an object: it has no apiVersion and kind"},
		"a sequence":  {"- a\n", "f.yaml: document 1 (line 1): it is not an object: it has no apiVersion and kind"},
		"wrong types": {"apiVersion: 1\nkind: Pod\n", "f.yaml: document 1 (line 1): apiVersion is not a string"},
		"list item":   {"apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n", "f.yaml: document 1 (line 1): items[0]: apiVersion is not set"},
		"syntax": {
			"apiVersion: v1\nkind: Pod\n---\napiVersion: v1\nkind: Pod\nspec: a: b\n",
			"f.yaml: document 2 (line 4): line 6: mapping values are not allowed in this context",
		},
		"not text": {"a: \xff\n", "read f.yaml: it is not UTF-8 text"},
		"bomb": {
			"apiVersion: v1\nkind: Pod\na: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
				"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n",
			"f.yaml: document 1 (line 1): document contains excessive aliasing",
		},
		"same key in two spellings": {
			"apiVersion: v1\nkind: ConfigMap\ndata: {1: a, \"1\": b}\n",
			`f.yaml: document 1 (line 1): line 3: data.1: key "1" is given twice, first in line 3`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			docs, err := Read(strings.NewReader(test.text), "f.yaml")
			if err == nil {
				t.Fatalf("read %s", places(docs))
			}
			if err.Error() != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", err, test.want)
			}
		})
	}
}

func TestReadIsBounded(t *testing.T) {
	endless := strings.NewReader(strings.Repeat("# x\n", MaxBytes/4+1))
	if _, err := Read(endless, "f.yaml"); err == nil || !strings.Contains(err.Error(), "32 MiB") {
		t.Errorf("got %v", err)
	}
}

// Numbers and strings must arrive as they were written.
func TestReadKeepsValues(t *testing.T) {
	docs, err := Read(strings.NewReader("apiVersion: v1\nkind: Pod\nspec: {big: 9007199254740993, mode: 0644, yes: \"yes\", f: 1.5}\n"), "f.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":"v1","kind":"Pod","spec":{"big":9007199254740993,"f":1.5,"mode":420,"true":"yes"}}`
	if got := string(docs[0].Object.GetJson()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("apiVersion: v1\nkind: Pod\n---\n{\"apiVersion\":\"v1\"}")
	f.Add("%YAML 1.1\n--- {a: b}\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		docs, err := Read(strings.NewReader(text), "f")
		for _, d := range docs {
			if err != nil || d.Object.GetKind() == "" || d.Object.GetApiVersion() == "" || d.Number < 1 || d.Line < 1 {
				t.Errorf("%v: %v, %v", d, d.Object, err)
			}
		}
	})
}
