package manifests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const webPod = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: main, image: busybox}]}
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func uid(t *testing.T, path, text string) string {
	t.Helper()
	w, err := wants(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var m metav1.PartialObjectMetadata
	if err := json.Unmarshal(w[0].JSON, &m); err != nil {
		t.Fatal(err)
	}
	return string(m.UID)
}

// TestUIDsFollowPathAndContent: a comment, or another object of the file, makes
// no other pod.
func TestUIDsFollowPathAndContent(t *testing.T) {
	const a = "/etc/podd/manifests/a.yaml"
	was := uid(t, a, webPod)
	for name, c := range map[string]struct {
		path, text string
		same       bool
	}{
		"again":        {a, webPod, true},
		"a comment":    {a, "# hello\n" + webPod, true},
		"a neighbour":  {a, webPod + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg}\n", true},
		"an edit":      {a, strings.Replace(webPod, "busybox", "alpine", 1), false},
		"another file": {"/etc/podd/manifests/b.yaml", webPod, false},
	} {
		if now := uid(t, c.path, c.text); (now == was) != c.same {
			t.Errorf("%s: %s, was %s", name, now, was)
		}
	}
	if got := uid(t, a, strings.Replace(webPod, "name: web", "name: web, uid: mine", 1)); got != "mine" {
		t.Errorf("a given uid became %s", got)
	}
}

func TestReadDir(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yml", "c.json.bak", ".hidden.yaml", "d.yaml~", "README.md"} {
		write(t, filepath.Join(dir, name), webPod)
	}
	write(t, filepath.Join(dir, "bad.yaml"), "kind: [")
	write(t, filepath.Join(dir, "nameless.yaml"), strings.Replace(webPod, "name: web", "generateName: web-", 1))
	write(t, filepath.Join(dir, "c.json"), `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}`)
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "sub.yaml"), 0o700),
		os.Symlink("nowhere", filepath.Join(dir, "dangling.yaml")),
		os.Symlink("b.yaml", filepath.Join(dir, "link.yaml")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	files, err := readDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		what := "ok"
		if f.err != nil {
			what = f.err.Error()
		}
		got = append(got, filepath.Base(f.path)+": "+strings.ReplaceAll(what, dir, "DIR"))
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"a.yml: ok\nb.yaml: ok\nbad.yaml: ", "\nc.json: ok\n", "link.yaml: ok\n", "nameless.yaml: DIR/nameless.yaml: document 1 (line 1): metadata.name", "sub.yaml: read DIR/sub.yaml: it is not a file"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "hidden") || strings.Contains(text, "~") || strings.Contains(text, "bak") || strings.Contains(text, "dangling") {
		t.Error(text)
	}
	if files, err := readDir(filepath.Join(dir, "nosuch")); files != nil || err != nil {
		t.Errorf("a directory that is not there: %v, %v", files, err)
	}
}

// TestAFileThatIsBeingWritten is not read, however long that takes.
func TestAFileThatIsBeingWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(webPod); err != nil {
		t.Fatal(err)
	}
	if got := readFile(path); !got.busy || got.err != nil {
		t.Errorf("%+v", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readFile(path); got.busy || got.err != nil || len(got.wants) != 1 {
		t.Errorf("%+v", got)
	}
}
