package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// lineNumber is how YAML's parser names a line.
var lineNumber = regexp.MustCompile(`\bline (\d+)\b`)

// objects decodes the chunk: one object, or a list's items.
func (c chunk) objects() ([]*poddv1.Object, error) {
	if err := c.duplicates(); err != nil {
		return nil, err
	}
	text, err := c.json()
	if err != nil {
		return nil, err
	}
	if string(bytes.TrimSpace(text)) == "null" {
		return nil, nil
	}
	return objects(text, "")
}

// json is the chunk as JSON. What is JSON already stays as it is, its repeated
// keys refused: YAML's parser does not read all of JSON.
func (c chunk) json() ([]byte, error) {
	if json.Valid(c.text) {
		var value any
		wrong, err := kjson.UnmarshalStrict(c.text, &value)
		return c.text, errors.Join(append(wrong, err)...)
	}
	text, err := yaml.YAMLToJSONStrict(c.text)
	if err != nil {
		return nil, c.syntax(err)
	}
	return text, nil
}

// syntax is a parser's error, its line numbers counted from the top of the file.
func (c chunk) syntax(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.Join(strings.Fields(strings.TrimPrefix(text, "unmarshal errors:")), " ")
	return errors.New(lineNumber.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(s, "line "))
		return fmt.Sprintf("line %d", n+c.head-1)
	}))
}

// objects makes the API's object of a JSON document, or objects of a list's
// items. path is where it stands in the document.
func objects(text []byte, path string) ([]*poddv1.Object, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return nil, errors.New(at(path, "it is not an object: it has no apiVersion and kind"))
	}
	apiVersion, err := stringField(fields, "apiVersion")
	kind, err2 := stringField(fields, "kind")
	switch {
	case err != nil || err2 != nil:
		return nil, errors.New(at(path, errors.Join(err, err2).Error()))
	case apiVersion == "" && kind == "":
		return nil, errors.New(at(path, "apiVersion and kind are not set"))
	case apiVersion == "":
		return nil, errors.New(at(path, "apiVersion is not set"))
	case kind == "":
		return nil, errors.New(at(path, "kind is not set"))
	case strings.HasSuffix(kind, "List"):
		return items(fields["items"], apiVersion, strings.TrimSuffix(kind, "List"), path)
	}
	return []*poddv1.Object{{ApiVersion: apiVersion, Kind: kind, Json: bytes.TrimSpace(text)}}, nil
}

// stringField is a field that is a string, or not there.
func stringField(fields map[string]json.RawMessage, name string) (value string, err error) {
	if raw, found := fields[name]; found && json.Unmarshal(raw, &value) != nil {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return value, nil
}

// items are the objects of a list. Those of a PodList and its like, whose kind
// is known by the list's, need not say again what they are.
func items(text json.RawMessage, apiVersion, kind, path string) ([]*poddv1.Object, error) {
	var list []json.RawMessage
	if text != nil && json.Unmarshal(text, &list) != nil {
		return nil, errors.New(at(path, "items is not a list"))
	}
	var all []*poddv1.Object
	for i, item := range list {
		if kind != "" {
			item = named(item, apiVersion, kind)
		}
		found, err := objects(item, fmt.Sprintf("%sitems[%d]", prefix(path), i))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// named is item with apiVersion and kind, if it is an object that has neither.
func named(item json.RawMessage, apiVersion, kind string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(item, &fields) != nil || fields["apiVersion"] != nil || fields["kind"] != nil {
		return item
	}
	fields["apiVersion"] = json.RawMessage(strconv.Quote(apiVersion))
	fields["kind"] = json.RawMessage(strconv.Quote(kind))
	named, err := json.Marshal(fields)
	if err != nil {
		return item
	}
	return named
}

func at(path, text string) string {
	if path == "" {
		return text
	}
	return path + ": " + text
}

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + "."
}
