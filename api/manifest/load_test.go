package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.yml":          "apiVersion: v1\nkind: Secret\n",
		"a.yaml":         "apiVersion: v1\nkind: Pod\n",
		"c.json":         `{"apiVersion":"v1","kind":"ConfigMap"}`,
		"notes.txt":      "not: a: manifest",
		"deep/er/d.yaml": "apiVersion: v1\nkind: Deep\n",
		"odd/one.txt":    "apiVersion: v1\nkind: Odd\n",
		"wrong/w1.yaml":  "kind: Pod\n",
		"wrong/w2.yaml":  "apiVersion: v1\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, test := range []struct {
		name, stdin, want, err string
		recursive              bool
		paths                  []string
	}{
		{name: "directory", paths: []string{dir}, want: "Pod Secret ConfigMap"},
		{name: "whole tree", paths: []string{path("deep"), path("c.json")}, recursive: true, want: "Deep ConfigMap"},
		{name: "a file's name does not matter", paths: []string{path("odd/one.txt")}, want: "Odd"},
		{name: "standard input", stdin: "apiVersion: v1\nkind: Pod\n", paths: []string{"-", path("b.yml")}, want: "Pod Secret"},
		{name: "no such path", paths: []string{path("none")}, err: `the path "` + path("none") + `" does not exist`},
		{name: "nothing in it", paths: []string{path("odd")}, err: "no manifest in " + path("odd") + ": recognized file extensions are .json .yaml .yml"},
		{name: "address", paths: []string{"https://x/y.yaml"}, err: "https://x/y.yaml: addresses are not fetched; download it and give the file, or pipe it to -f -"},
		{
			name: "all that is wrong is told", paths: []string{path("wrong"), path("a.yaml"), path("none")},
			err: path("wrong/w1.yaml") + ": document 1 (line 1): apiVersion is not set\n" +
				path("wrong/w2.yaml") + ": document 1 (line 1): kind is not set\n" + `the path "` + path("none") + `" does not exist`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			docs, err := Load(strings.NewReader(test.stdin), test.recursive, test.paths...)
			if text := errorText(err); text != test.err {
				t.Errorf("error:\n%s\nwant:\n%s", text, test.err)
			}
			var kinds []string
			for _, d := range docs {
				kinds = append(kinds, d.Object.GetKind())
			}
			if got := strings.Join(kinds, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
