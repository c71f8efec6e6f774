package main

import (
	"bytes"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// runtimesUsage explains the one key that is no flag.
const runtimesUsage = "OCI runtimes by handler, each with the path of its program; a bare name is looked for in the bundle, then in $PATH"

// text is the configuration as a file that explains itself: every key, below what
// it is for. With idle every key is commented out, so that what podd has as its
// default stays in force, a later version's too.
func (c Config) text(idle bool) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# podd's configuration. `podd config check` checks it; every key but runtimes is also\n" +
		"# a flag, and flags win. What a key is for: docs/configuration.md.\n")
	for _, k := range keys() {
		if err := writeKey(&out, k.name, k.usage, k.field(&c), idle); err != nil {
			return nil, err
		}
	}
	err := writeKey(&out, "runtimes", runtimesUsage, c.Runtimes, idle)
	return out.Bytes(), err
}

func writeKey(out *bytes.Buffer, name, usage string, value any, idle bool) error {
	text, err := yaml.Marshal(map[string]any{name: value})
	if err != nil {
		return fmt.Errorf("write down %s: %w", name, err)
	}
	out.WriteString("\n")
	for _, line := range wrap(usage, 86) {
		fmt.Fprintf(out, "# %s\n", line)
	}
	for line := range strings.Lines(string(text)) {
		if idle {
			line = "#" + line
		}
		out.WriteString(line)
	}
	return nil
}

// wrap breaks a text into lines of so many bytes, where it has spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
