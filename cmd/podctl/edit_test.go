package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// editing runs podctl edit with a shell script as the editor: $1 is the file,
// and $n how often it was called before.
func editing(t *testing.T, w *world, what, script string) (out string, code int) {
	t.Helper()
	dir := t.TempDir()
	editor := filepath.Join(dir, "editor")
	text := "#!/bin/sh\nn=$(cat " + dir + "/n 2>/dev/null || echo 0); echo $((n+1)) >" + dir + "/n\n" + script + "\n"
	if err := os.WriteFile(editor, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	tm := &terminal{session: serve(t, w)}
	tm.session.getenv = func(name string) string {
		return map[string]string{"KUBE_EDITOR": editor, "TMPDIR": dir}[name]
	}
	code = tm.command("podctl edit "+what, "")
	return tm.out.String(), code
}

func TestEdit(t *testing.T) {
	for name, c := range map[string]struct {
		what, script, want string
		code               int
	}{
		"a change":         {"configmap settings", `sed -i 's/^data:/data:\n  added: "1"/' $1; grep -q '^status' $1 && echo status; true`, "configmap/settings edited\n", 0},
		"nothing":          {"configmap/settings", `:`, "! Edit cancelled, no changes made.\n", 0},
		"an empty file":    {"cm settings", `: >$1`, "! Edit cancelled, no changes made.\n", 0},
		"another name":     {"cm settings", `[ $n = 0 ] && sed -i 's/name: settings/name: other/' $1 || { grep '^# kind, name' $1; : >$1; }`, "# kind, name and namespace can't be edited: they say which object it is\n! Edit cancelled, no changes made.\n", 1},
		"broken, then not": {"cm settings", `[ $n = 0 ] && echo "a: [" >>$1 || { grep -c '^# the edited file: ' $1; sed -i '/^a: /d; s/^data:/data:\n  added: "1"/' $1; }`, "1\nconfigmap/settings edited\n", 0},
		"no editor":        {"cm settings", `exit 3`, "there was a problem with the editor", 1},
		"not there":        {"cm nobody", `:`, `configmaps "nobody" not found`, 1},
		"two":              {"cm settings other", `:`, "one object at a time", 1},
		"no name":          {"cm", `:`, "one object at a time", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			fill(t, w)
			out, code := editing(t, w, c.what, c.script)
			if !strings.Contains(out, c.want) || code != c.code {
				t.Errorf("%q [%d]", out, code)
			}
		})
	}
}

// TestEditIsRefused: it is opened again with the reason, until it is given up.
func TestEditIsRefused(t *testing.T) {
	w := newWorld()
	fill(t, w)
	w.refuses = refusal(codes.FailedPrecondition, apierrors.NewForbidden(resourceOf("configmaps"), "settings", os.ErrExist).Status())
	out, code := editing(t, w, "cm settings", `[ $n = 0 ] && sed -i 's/^data:/data:\n  added: "1"/' $1 || grep '^# Error' $1`)
	if code != 1 || !strings.Contains(out, "# Error from server (Forbidden): configmaps") || !strings.Contains(out, "Edit cancelled") {
		t.Errorf("%q [%d]", out, code)
	}
	_, said, _ := strings.Cut(out, "A copy of your changes has been stored to \"")
	path, _, _ := strings.Cut(said, "\"")
	if kept, err := os.ReadFile(path); err != nil || !strings.Contains(string(kept), "added: \"1\"") {
		t.Errorf("kept %q: %v", kept, err)
	}
}

var diffHead = regexp.MustCompile(`(?m)^(! )?(diff |---|\+\+\+|@@).*\n`)

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct {
		input, want string
		code        int
	}{
		"nothing":          {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, annotations: {same: \"yes\"}}", "", 1},
		"new":              {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\ndata: {a: b}", "+data:\n+  a: b\n", 1},
		"a secret":         {"apiVersion: v1\nkind: Secret\nmetadata: {name: hidden}\ndata: {password: aHVudGVyMg==}", "+  password: '***'\n", 1},
		"a changed secret": {"apiVersion: v1\nkind: Secret\nmetadata: {name: token}\ndata: {password: bmV3, added: aHVudGVyMg==}", "-  password: '*** (before)'\n+  added: '***'\n+  password: '*** (after)'\n", 1},
		"what is bad":      {"kind: [", "! error: STDIN: document 1", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			fill(t, w)
			tm := &terminal{session: serve(t, w)}
			code := tm.command("podctl diff -f -", c.input)
			out := diffHead.ReplaceAllString(tm.out.String(), "")
			if !strings.Contains(out, c.want) || code != c.code || strings.Contains(out, "aHVudGVyMg") {
				t.Errorf("%s [%d]", out, code)
			}
		})
	}
	w := newWorld()
	fill(t, w)
	tm := &terminal{session: serve(t, w)}
	tm.session.getenv = func(name string) string { return map[string]string{"KUBECTL_EXTERNAL_DIFF": "true"}[name] }
	if code := tm.command("podctl diff -f -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}"); code != 0 || tm.out.Len() > 0 {
		t.Errorf("a program that sees no difference: [%d] %s", code, tm.out.String())
	}
}

// TestEditOfWhatOthersChange: a status is podd's to change; anything else makes
// what was edited out of date, and the text is kept.
func TestEditOfWhatOthersChange(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(map[string]any)
		code      int
		says      string
	}{
		"its status": {func(o map[string]any) { o["status"] = map[string]any{"phase": "Running"} }, 0, "pod/web edited"},
		"its labels": {func(o map[string]any) {
			o["metadata"].(map[string]any)["labels"] = map[string]any{"new": "label"}
		}, 1, "changed by somebody else meanwhile"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			fill(t, w)
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			go func() { // while the editor reads the FIFO
				f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
				if err == nil {
					w.change("Pod", "web", c.meanwhile)
					f.Close()
				}
			}()
			out, code := editing(t, w, "pod web", `cat `+fifo+`; sed -i 's/^metadata:/metadata:\n  finalizers: [a.example\/b]/' $1`)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("%q [%d]", out, code)
			}
			if c.code != 0 && !strings.Contains(out, "A copy of your changes has been stored to") {
				t.Errorf("the text is lost: %q", out)
			}
		})
	}
}
