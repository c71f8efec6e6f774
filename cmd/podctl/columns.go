package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"
)

// columnsPrinter prints -o custom-columns=NAME:.metadata.name,...: a line for
// each object, after the first line with the headers.
type columnsPrinter struct {
	headers []string
	paths   []*jsonpath.JSONPath
	started bool
}

func newColumnsPrinter(spec string) (printers.ResourcePrinter, error) {
	if spec == "" {
		return nil, errors.New("custom-columns format specified but no custom columns given")
	}
	p := &columnsPrinter{}
	for column := range strings.SplitSeq(spec, ",") {
		header, path, found := strings.Cut(column, ":")
		if !found {
			return nil, fmt.Errorf("unexpected custom-columns spec: %s, expected <header>:<json-path-expr>", column)
		}
		parsed, err := parsePath(path)
		if err != nil {
			return nil, err
		}
		p.headers = append(p.headers, header)
		p.paths = append(p.paths, parsed)
	}
	return p, nil
}

// parsePath reads a JSONPath as kubectl lets it be written: .a.b, a.b or {.a.b}.
func parsePath(path string) (*jsonpath.JSONPath, error) {
	inner := strings.TrimSpace(path)
	if strings.HasPrefix(inner, "{") && strings.HasSuffix(inner, "}") {
		inner = inner[1 : len(inner)-1]
	}
	if strings.ContainsAny(inner, "{}") || inner == "" {
		return nil, fmt.Errorf("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}': %q", path)
	}
	parsed := jsonpath.New("path").AllowMissingKeys(true)
	if err := parsed.Parse("{." + strings.TrimPrefix(inner, ".") + "}"); err != nil {
		return nil, fmt.Errorf("parse %q: %w", path, err)
	}
	return parsed, nil
}

// find is everything that a path finds in an object.
func find(path *jsonpath.JSONPath, object map[string]any) ([]any, error) {
	results, err := path.FindResults(object)
	if err != nil {
		return nil, err
	}
	var values []any
	for _, result := range results {
		for _, value := range result {
			if value.IsValid() && value.CanInterface() {
				values = append(values, value.Interface())
			}
		}
	}
	return values, nil
}

// PrintObj prints an object, or a list's items.
func (p *columnsPrinter) PrintObj(object runtime.Object, out io.Writer) error {
	w := printers.GetNewTabWriter(out)
	if !p.started {
		fmt.Fprintln(w, strings.Join(p.headers, "\t"))
		p.started = true
	}
	if event, ok := object.(*metav1.WatchEvent); ok {
		object = event.Object.Object
	}
	content, ok := object.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("print a %T in columns", object)
	}
	items := []any{content.Object}
	if content.IsList() {
		items, _, _ = unstructured.NestedSlice(content.Object, "items")
	}
	for _, item := range items {
		line, err := p.line(item.(map[string]any))
		if err != nil {
			return err
		}
		fmt.Fprintln(w, line)
	}
	return w.Flush()
}

func (p *columnsPrinter) line(object map[string]any) (string, error) {
	cells := make([]string, len(p.paths))
	for i, path := range p.paths {
		values, err := find(path, object)
		if err != nil {
			return "", err
		}
		texts := make([]string, len(values))
		for j, value := range values {
			texts[j] = fmt.Sprint(value)
		}
		cells[i] = strings.Join(texts, ",")
		if len(values) == 0 {
			cells[i] = "<none>"
		}
	}
	return strings.Join(cells, "\t"), nil
}
