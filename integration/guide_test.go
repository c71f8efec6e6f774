package integration_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// step is a command of a console session, and what it is to print.
type step struct{ command, output string }

// session reads the console block of a document: "$ " begins a command, "> "
// goes on with it.
func session(t *testing.T, path string) []step {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```console\n")
	block, _, _ = strings.Cut(block, "```")
	var steps []step
	for line := range strings.Lines(block) {
		command, begins := strings.CutPrefix(line, "$ ")
		if begins {
			steps = append(steps, step{command: command})
			continue
		}
		last := &steps[len(steps)-1]
		if more, ok := strings.CutPrefix(line, "> "); ok {
			last.command += more
		} else {
			last.output += line
		}
	}
	return steps
}

// pattern is an output as a regular expression: … on a line of its own stands
// for any lines, within one for anything.
func pattern(output string) string {
	text := regexp.QuoteMeta(strings.TrimSpace(output))
	text = regexp.MustCompile(`(?m)^…\n`).ReplaceAllString(text, `(?s:.*)`)
	return "^" + strings.ReplaceAll(text, "…", ".*") + "$"
}

// TestTheSessionInTheGuide runs what the guide shows, command by command.
func TestTheSessionInTheGuide(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	steps := session(t, "../docs/api-guide.md")
	if len(steps) < 10 {
		t.Fatalf("%d commands", len(steps))
	}
	for _, s := range steps {
		cmd := exec.Command("bash", "-c", strings.ReplaceAll(s.command, "/run/podd/podd.sock", n.path("podd.sock")))
		cmd.Dir = n.dir
		cmd.Env = append(os.Environ(), "PATH="+bin(t, "tools")+":"+os.Getenv("PATH"))
		out, _ := cmd.CombinedOutput() // some fail, and are to
		if got := strings.TrimSpace(string(out)); !regexp.MustCompile(pattern(s.output)).MatchString(got) {
			t.Errorf("$ %s\n%s\nis not what the guide says:\n%s", s.command, got, s.output)
		}
	}
}

// TestTheExampleClient runs examples/client, which is what the documentation
// sends people to.
func TestTheExampleClient(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	program := n.path("client")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-tags", "grpcnotrace", "-o", program, "../examples/client").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for range 2 { // it leaves nothing that would be in its own way
		out, err := exec.Command(program, "-address", n.address()).CombinedOutput()
		if want := "applied example\nready\ngood day\nexample\nit exited with 0\ngone\n"; err != nil || string(out) != want {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
