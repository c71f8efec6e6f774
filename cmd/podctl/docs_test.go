package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const docsPath = "../../docs/podctl.md"

// TestDocsAreCurrent holds docs/podctl.md to the commands it is made from; with
// -rewrite it makes it.
func TestDocsAreCurrent(t *testing.T) {
	var want bytes.Buffer
	fmt.Fprint(&want, "<!-- Made from the commands by make generate. -->\n# podctl\n\n")
	s := &session{}
	writeDocs(&want, newRoot(s))
	if *rewrite {
		if err := os.WriteFile(docsPath, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/podctl.md is not what the commands are: run make generate")
	}
}

// TestDifferencesAreOfVerbs holds the tables of docs/kubectl.md to the verbs
// that there are, and that there are not.
func TestDifferencesAreOfVerbs(t *testing.T) {
	text, err := os.ReadFile("../../docs/kubectl.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(text), "## Verb by verb")
	there, missing, found := strings.Cut(tables, "## Verbs that are not there")
	if !found {
		t.Fatal("docs/kubectl.md has no table of the verbs that are not there")
	}
	verbs := map[string]bool{}
	for _, cmd := range newRoot(&session{}).Commands() {
		verbs[cmd.Name()] = true
	}
	inFirstCells := regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|")
	for part, want := range map[string]bool{there: true, missing: false} {
		cells := inFirstCells.FindAllStringSubmatch(part, -1)
		if len(cells) == 0 {
			t.Error("a table of docs/kubectl.md has no verbs")
		}
		for _, cell := range cells {
			for name := range strings.SplitSeq(cell[1], ", ") {
				if name = strings.Trim(name, "`"); verbs[name] != want {
					t.Errorf("docs/kubectl.md says that the verb %s is there: %t", name, want)
				}
			}
		}
	}
}

func writeDocs(out *bytes.Buffer, cmd *cobra.Command) {
	if cmd.HasParent() {
		fmt.Fprintf(out, "## %s\n\n", cmd.CommandPath())
	}
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(out, "%s\n\n", strings.ReplaceAll(text, "$PODD_ADDRESS", "`$PODD_ADDRESS`"))
	if cmd.HasParent() && !cmd.HasSubCommands() {
		fmt.Fprintf(out, "    %s\n\n", cmd.UseLine())
	}
	if cmd.Example != "" {
		fmt.Fprintf(out, "Examples:\n\n%s\n\n", indent(cmd.Example))
	}
	flags := cmd.NonInheritedFlags().FlagUsages()
	if flags != "" {
		fmt.Fprintf(out, "Flags:\n\n%s\n", indent(strings.TrimRight(flags, "\n"))+"\n")
	}
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && sub.Name() != "help" {
			writeDocs(out, sub)
		}
	}
}

// indent makes a text a block of code.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + strings.TrimPrefix(line, "  "))
	}
	return b.String()
}
