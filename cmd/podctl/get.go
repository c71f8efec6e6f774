package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"

	"github.com/podd-io/podd/cmd/podctl/table"
)

// getFlags are the flags of get.
type getFlags struct {
	selection
	output         string
	sortBy         string
	watch          bool
	watchOnly      bool
	watchEvents    bool
	ignoreNotFound bool
	noHeaders      bool
	showLabels     bool
	labelColumns   []string
}

func newGet(s *session) *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get KIND[,KIND...] [NAME...] | KIND/NAME...",
		Short: "Show objects",
		Long:  "Show objects in a table or in another format: pods, configmaps, secrets, events, nodes and images.",
		Example: "  podctl get pods\n  podctl get pods -A -o wide\n  podctl get pod web -o yaml\n" +
			"  podctl get pods -l app=web -o jsonpath='{.items[*].status.podIP}'\n  podctl get events --sort-by=.lastTimestamp\n  podctl get pods -w",
		ValidArgsFunction: s.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(args); err != nil {
				return err
			}
			return f.run(cmd.Context(), s)
		},
	}
	f.addFlags(cmd)
	addOutputFlag(cmd, &f.output)
	flags := cmd.Flags()
	flags.BoolVarP(&f.watch, "watch", "w", false, "after showing what is, show what changes")
	flags.BoolVar(&f.watchOnly, "watch-only", false, "show only what changes")
	flags.BoolVar(&f.watchEvents, "output-watch-events", false, "say of each change what it is: ADDED, MODIFIED or DELETED")
	flags.BoolVar(&f.ignoreNotFound, "ignore-not-found", false, "an object that is not there is no error")
	flags.BoolVar(&f.noHeaders, "no-headers", false, "without the headers of the table")
	flags.BoolVar(&f.showLabels, "show-labels", false, "with a column of all labels")
	flags.StringSliceVarP(&f.labelColumns, "label-columns", "L", nil, "with a column for each of these labels")
	flags.StringVar(&f.sortBy, "sort-by", "", "sort by the field at this JSONPath, such as .metadata.name")
	return cmd
}

func (f *getFlags) run(ctx context.Context, s *session) error {
	printer, err := newPrinter(f.output)
	if err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	if f.watch || f.watchOnly {
		return f.runWatch(ctx, s, c, printer)
	}
	objects, wrong := f.objects(ctx, s, c)
	if f.ignoreNotFound {
		wrong = withoutNotFound(wrong)
	}
	if err := f.sort(objects); err != nil {
		return err
	}
	switch {
	case wrong != nil && len(objects) == 0:
		return wrong
	case printer == nil:
		err = f.printTables(s, objects)
	case len(objects) == 0 && f.named():
		err = nil // --ignore-not-found prints nothing
	default:
		err = printObjects(printer, s.out, objects, !f.named() || len(f.targets) > 1)
	}
	return errors.Join(wrong, err)
}

// withoutNotFound is err without the objects that aren't there.
func withoutNotFound(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(slices.DeleteFunc(leaves(err), isNotFound)...)
}

// printTables prints a table for each kind.
func (f *getFlags) printTables(s *session, objects []*unstructured.Unstructured) error {
	if len(objects) == 0 {
		f.sayEmpty(s)
		return nil
	}
	groups := byKind(objects)
	w := printers.GetNewTabWriter(s.out)
	for i, group := range groups {
		if i > 0 {
			fmt.Fprintln(w)
		}
		kind := group[0].GetKind()
		rows, err := table.For(kind).Table(group, s.now())
		if err != nil {
			return err
		}
		if err := f.tablePrinter(group[0], len(groups) > 1).PrintObj(rows, w); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		w = printers.GetNewTabWriter(s.out)
	}
	return nil
}

// sayEmpty says that there is nothing, in kubectl's words.
func (f *getFlags) sayEmpty(s *session) {
	switch {
	case f.ignoreNotFound:
	case f.allNamespaces || f.targets[0].kind.cluster:
		fmt.Fprintln(s.errOut, "No resources found")
	default:
		fmt.Fprintf(s.errOut, "No resources found in %s namespace.\n", s.space())
	}
}

// byKind groups objects by kind, the kinds in the order of their first object.
func byKind(objects []*unstructured.Unstructured) [][]*unstructured.Unstructured {
	var groups [][]*unstructured.Unstructured
	position := make(map[string]int)
	for _, object := range objects {
		i, found := position[object.GetKind()]
		if !found {
			i = len(groups)
			position[object.GetKind()] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], object)
	}
	return groups
}

// tablePrinter prints tables of objects like sample; withKind says that names
// need their kind before them.
func (f *getFlags) tablePrinter(sample *unstructured.Unstructured, withKind bool) printers.ResourcePrinter {
	return printers.NewTablePrinter(printers.PrintOptions{
		NoHeaders:     f.noHeaders,
		WithNamespace: f.allNamespaces && !kindNamed(sample.GetKind()).cluster,
		WithKind:      withKind,
		Kind:          schema.GroupKind{Kind: sample.GetKind()},
		Wide:          f.output == "wide",
		ShowLabels:    f.showLabels,
		ColumnLabels:  f.labelColumns,
	})
}

// sort orders objects by the field that --sort-by names; without it they stay
// as podd gave them, but for events.
func (f *getFlags) sort(objects []*unstructured.Unstructured) error {
	if f.sortBy == "" {
		return sortEvents(objects)
	}
	path, err := parsePath(f.sortBy)
	if err != nil {
		return err
	}
	keys := make(map[*unstructured.Unstructured]any, len(objects))
	for _, object := range objects {
		if keys[object], err = sortKey(path, object); err != nil {
			return err
		}
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return compareKeys(keys[a], keys[b]) })
	return nil
}

func sortKey(path *jsonpath.JSONPath, object *unstructured.Unstructured) (any, error) {
	values, err := find(path, object.Object)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	return values[0], nil
}

// compareKeys orders numbers by value and everything else by its text; what is
// missing comes first. RFC 3339 times are ordered by their text.
func compareKeys(a, b any) int {
	x, xIsNumber := a.(int64)
	y, yIsNumber := b.(int64)
	switch {
	case xIsNumber && yIsNumber:
		return cmp.Compare(x, y)
	case a == nil || b == nil:
		return cmp.Compare(boolInt(a != nil), boolInt(b != nil))
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
