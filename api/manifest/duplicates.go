package manifest

import (
	"errors"
	"fmt"

	yamlv3 "go.yaml.in/yaml/v3"
)

// duplicates is an error that names every key that is given twice in one
// mapping, with its line and path. Text that this parser can't read has none:
// the decoder, whose YAML is Kubernetes', has the say.
func (c chunk) duplicates() error {
	var doc yamlv3.Node
	if yamlv3.Unmarshal(c.text, &doc) != nil {
		return nil
	}
	var wrong []error
	walk(&doc, "", func(key *yamlv3.Node, path string, first int) {
		wrong = append(wrong, fmt.Errorf("line %d: %s: key %q is given twice, first in line %d",
			key.Line+c.head-1, path, key.Value, first+c.head-1))
	})
	return errors.Join(wrong...)
}

// walk visits every mapping below node and tells of repeated keys. Aliases are
// not followed: what they stand for is visited where it is written.
func walk(node *yamlv3.Node, path string, repeated func(key *yamlv3.Node, path string, first int)) {
	switch node.Kind {
	case yamlv3.DocumentNode:
		for _, child := range node.Content {
			walk(child, path, repeated)
		}
	case yamlv3.SequenceNode:
		for i, child := range node.Content {
			walk(child, fmt.Sprintf("%s[%d]", path, i), repeated)
		}
	case yamlv3.MappingNode:
		lines := make(map[string]int)
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			below := prefix(path) + key.Value
			if first, found := lines[key.Value]; found {
				repeated(key, below, first)
			} else {
				lines[key.Value] = key.Line
			}
			walk(value, below, repeated)
		}
	default: // scalars, and aliases
	}
}
