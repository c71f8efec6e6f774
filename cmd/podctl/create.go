package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// creation is how objects are created that must not exist yet.
type creation struct {
	dryRun, output string
}

func (f *creation) addFlags(cmd *cobra.Command) {
	addOutputFlag(cmd, &f.output)
	flags := cmd.Flags()
	flags.StringVar(&f.dryRun, "dry-run", "none", "store nothing; server lets podd check the objects")
	flags.Lookup("dry-run").NoOptDefVal = "client"
	complete(cmd, "dry-run", cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp))
}

// create stores all objects in one call, or none of them.
func (f *creation) create(ctx context.Context, s *session, objects []*unstructured.Unstructured) error {
	suffix, err := dryRunSuffix(f.dryRun)
	if err != nil {
		return err
	}
	printer, err := newPrinter(f.output)
	if err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	results, err := c.apply(ctx, &poddv1.ApplyRequest{CreateOnly: true, DryRun: suffix != ""}, objects)
	if err != nil {
		return err
	}
	_, err = show(s, printer, results, suffix)
	return err
}

// createTyped creates an object that podctl has made. A client's dry run prints
// it as it was made, without asking podd.
func (f *creation) createTyped(ctx context.Context, s *session, typed runtime.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return fmt.Errorf("encode the new object: %w", err)
	}
	object := &unstructured.Unstructured{Object: content}
	if err := s.settle(); err != nil {
		return err
	}
	if err := s.place(object); err != nil {
		return err
	}
	suffix, err := dryRunSuffix(f.dryRun)
	if err != nil {
		return err
	}
	if suffix == "" || f.dryRun == "server" {
		return f.create(ctx, s, []*unstructured.Unstructured{object})
	}
	printer, err := newPrinter(f.output)
	if err != nil {
		return err
	}
	if printer == nil {
		return said(s.out, object, "created"+suffix)
	}
	return printer.PrintObj(object, s.out)
}

func newCreate(s *session) *cobra.Command {
	var f creation
	var m manifests
	cmd := &cobra.Command{
		Use:   "create -f FILE|DIR|-",
		Short: "Create objects that do not exist yet",
		Long: "Create objects from manifests, or a ConfigMap or Secret from values and files.\n" +
			"All objects of one call are created, or none: one that exists already is refused.",
		Example: "  podctl create -f web.yaml\n  podctl create configmap settings --from-literal=color=blue\n  podctl create secret generic token --from-file=token.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(m.files) == 0 {
				return errors.New("must specify -f")
			}
			objects, err := m.load(s)
			if err != nil {
				return err
			}
			return f.create(cmd.Context(), s, objects)
		},
	}
	m.addFlags(cmd)
	f.addFlags(cmd)
	cmd.AddCommand(newCreateConfigMap(s), newCreateSecret(s))
	return cmd
}
