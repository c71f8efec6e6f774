package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// formats are what -o takes.
func formats() []string {
	return []string{"json", "yaml", "name", "wide", "jsonpath=", "jsonpath-as-json=", "jsonpath-file=", "go-template=", "go-template-file=", "custom-columns="}
}

func addOutputFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "", "how to print: "+strings.Join(formats(), "|"))
	complete(cmd, "output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
}

// addPlainOutputFlag is for what is no object: it has json and yaml only.
func addPlainOutputFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "", "how to print: json|yaml")
	complete(cmd, "output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

func checkPlainOutput(format string) error {
	if format != "" && format != "json" && format != "yaml" {
		return errors.New("--output must be 'yaml' or 'json'")
	}
	return nil
}

// printValue prints what is no object, as json or yaml.
func printValue(w io.Writer, v any, format string) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil && format == "yaml" {
		text, err = yaml.JSONToYAML(text)
	} else {
		text = append(text, '\n')
	}
	if err != nil {
		return fmt.Errorf("encode what is to be printed: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// newPrinter is the printer of a format that prints objects as they are; nil
// for the formats that are tables, or for none.
func newPrinter(format string) (printers.ResourcePrinter, error) {
	name, template, templated := strings.Cut(format, "=")
	if kept, isFile := strings.CutSuffix(name, "-file"); isFile && template != "" && slices.Contains(formats(), name+"=") {
		text, err := os.ReadFile(template)
		if err != nil {
			return nil, fmt.Errorf("error reading --template %s, %w", template, err)
		}
		name, template = kept, string(text)
	}
	switch name {
	case "", "wide":
		if !templated {
			return nil, nil
		}
	case "json":
		return &printers.JSONPrinter{}, nil
	case "yaml":
		return &printers.YAMLPrinter{}, nil
	case "name":
		return &printers.NamePrinter{ShortOutput: true}, nil
	case "jsonpath", "jsonpath-as-json":
		return newJSONPathPrinter(template, name == "jsonpath-as-json")
	case "go-template":
		return newTemplatePrinter(template)
	case "custom-columns":
		return newColumnsPrinter(template)
	}
	return nil, fmt.Errorf("unable to match a printer suitable for the output format %q, allowed formats are: %s", format, strings.Join(formats(), ","))
}

func newJSONPathPrinter(template string, asJSON bool) (printers.ResourcePrinter, error) {
	if template == "" {
		return nil, fmt.Errorf("template format specified but no template given")
	}
	p, err := printers.NewJSONPathPrinter(template)
	if err != nil {
		return nil, fmt.Errorf("error parsing jsonpath %s, %w", template, err)
	}
	p.AllowMissingKeys(true)
	p.EnableJSONOutput(asJSON)
	return p, nil
}

func newTemplatePrinter(template string) (printers.ResourcePrinter, error) {
	if template == "" {
		return nil, fmt.Errorf("template format specified but no template given")
	}
	p, err := printers.NewGoTemplatePrinter([]byte(template))
	if err != nil {
		return nil, fmt.Errorf("error parsing template %s, %w", template, err)
	}
	p.AllowMissingKeys(true)
	return p, nil
}

// printObjects prints one object as it is and several as a v1.List, as kubectl
// does; list says that it is a list whatever the number.
func printObjects(p printers.ResourcePrinter, w io.Writer, objects []*unstructured.Unstructured, list bool) error {
	if !list && len(objects) == 1 {
		return p.PrintObj(objects[0], w)
	}
	switch p.(type) {
	case *printers.NamePrinter:
		for _, object := range objects {
			if err := p.PrintObj(object, w); err != nil {
				return err
			}
		}
		return nil
	}
	return p.PrintObj(listOf(objects), w)
}

func listOf(objects []*unstructured.Unstructured) runtime.Object {
	items := make([]any, 0, len(objects))
	for _, object := range objects {
		items = append(items, object.Object)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "List", "items": items,
		"metadata": map[string]any{"resourceVersion": ""},
	}}
}

// said prints what became of an object, as kubectl does: pod/web created.
func said(w io.Writer, object *unstructured.Unstructured, what string) error {
	return (&printers.NamePrinter{Operation: what}).PrintObj(object, w)
}

func warn(w io.Writer, text string) {
	printers.NewWarningPrinter(w, printers.WarningPrinterOptions{}).Print(text)
}
