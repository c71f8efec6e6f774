package admit

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const docsPath = "../../docs/fields.md"

// TestDocsAreCurrent holds docs/fields.md to the table it is made from; with
// -rewrite it makes it.
func TestDocsAreCurrent(t *testing.T) {
	want := docs()
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.WriteFile(docsPath, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/fields.md is not what the table is: run make generate")
	}
}

const docsHead = `<!-- Made from the table in agent/admit by make generate. -->
# The fields of a pod

Every field of a pod's spec is in one of the three lists below. None is ever
ignored in silence: what podd does not do yet is refused when it is applied, all
of it at once, and what has no meaning on one node is accepted with a warning. A
value that asks for what is done anyway, a default among them, is neither.

Init containers have the fields of containers, and so have ephemeral ones, but
for those that Kubernetes refuses them: ports, probes, lifecycle, resources,
restartPolicy, subPath and subPathExpr. "[]" stands for any item of a
list, "{}" for any key, and "probe" for ` + "`livenessProbe`, `readinessProbe` and `startupProbe`." + `
What is refused or has no meaning is so with everything below it.

Of the metadata, finalizers, owner references and annotations of podd.io are
accepted with a warning. ConfigMaps and Secrets are honoured whole.
`

func docs() []byte {
	var out bytes.Buffer
	out.WriteString(docsHead)
	for _, s := range []struct {
		support     Support
		title, note string
	}{
		{Refused, "Refused: not supported yet", "Note"},
		{Meaningless, "Accepted with a warning", "Why it has no meaning"},
		{Honoured, "Honoured", "Note"},
	} {
		fmt.Fprintf(&out, "\n## %s\n\n| Field | %s | But fine |\n|---|---|---|\n", s.title, s.note)
		for _, f := range sorted(s.support) {
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", f.Path, f.Note, quoted(f.Fine))
		}
	}
	return out.Bytes()
}

func sorted(s Support) []Field {
	fields := slices.DeleteFunc(Fields(), func(f Field) bool { return f.Support != s })
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Path, b.Path) })
	return fields
}

func quoted(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return "`" + strings.Join(values, "`, `") + "`"
}
