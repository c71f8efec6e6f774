package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const docsPath = "../../docs/configuration.md"

var rewrite = flag.Bool("rewrite", false, "write docs/configuration.md anew")

// TestDocsAreCurrent holds docs/configuration.md to the keys it is made from;
// with -rewrite it makes it.
func TestDocsAreCurrent(t *testing.T) {
	want, err := docs()
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
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
		t.Error("docs/configuration.md is not what the keys are: run make generate")
	}
}

const docsHead = `<!-- Made from the keys in cmd/podd by make generate. -->
# Configuration

podd reads ` + "`/etc/podd/config.yaml`" + `, if it is there, or the file that ` + "`--config`" + ` names. Every key but ` + "`runtimes`" + ` is also a
flag of the same name; what is given by flag wins over the file, and the file over the default. An unknown key, one that
is there twice, and a value that can't be are refused by name at the start, all of them at once.

    podd config default                   # every key with its default and what it is for
    podd config default --commented-out   # the same with every key as a comment: a file to begin with
    podd config check [FILE]              # tells all that is wrong, and fails if anything is

The packages' file has every key as a comment, so that a later version's defaults come into force; change what you
need. ` + "`podctl config`" + ` is about contexts, not about this file.

| key | default | what it is for |
|---|---|---|
`

func docs() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(docsHead)
	c := defaultConfig()
	for _, k := range keys() {
		text, err := yaml.Marshal(map[string]any{k.name: k.field(&c)})
		if err != nil {
			return nil, err
		}
		_, value, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
		value = strings.TrimPrefix(strings.TrimSpace(value), "- ")
		fmt.Fprintf(&out, "| `%s` | `%s` | %s |\n", k.name, value, k.usage)
	}
	fmt.Fprintf(&out, "| `runtimes` | `{runc: {path: runc}}` | %s |\n", runtimesUsage)
	return out.Bytes(), nil
}
