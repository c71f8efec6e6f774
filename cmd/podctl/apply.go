package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/printers"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// applyFlags are the flags of apply.
type applyFlags struct {
	manifests
	dryRun  string
	wait    bool
	timeout time.Duration
	output  string
}

func newApply(s *session) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-",
		Short: "Create or change objects as manifests say",
		Long: "Create or change objects as manifests say. All manifests are read and checked before anything is stored:\n" +
			"all objects of one call are stored, or none.",
		Example: "  podctl apply -f guestbook.yaml\n  podctl apply -f manifests/ --wait\n  generate | podctl apply -f - --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), s) },
	}
	f.addFlags(cmd)
	addOutputFlag(cmd, &f.output)
	flags := cmd.Flags()
	flags.StringVar(&f.dryRun, "dry-run", "none", "check everything and store nothing; podd does the checking whether it is written as server, client or alone")
	flags.Lookup("dry-run").NoOptDefVal = "client"
	flags.BoolVar(&f.wait, "wait", false, "wait until all pods are ready or have succeeded")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long --wait waits for all pods; 0 is for ever")
	complete(cmd, "dry-run", cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *applyFlags) run(ctx context.Context, s *session) error {
	suffix, err := dryRunSuffix(f.dryRun)
	if err != nil {
		return err
	}
	printer, err := newPrinter(f.output)
	if err != nil {
		return err
	}
	if len(f.files) == 0 {
		return errors.New("must specify -f")
	}
	objects, err := f.load(s)
	if err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	results, err := c.apply(ctx, &poddv1.ApplyRequest{DryRun: suffix != ""}, objects)
	if err != nil {
		return err
	}
	stored, err := show(s, printer, results, suffix)
	if err != nil || !f.wait || suffix != "" {
		return err
	}
	return s.awaitReady(ctx, c, stored, f.timeout)
}

// dryRunSuffix is what messages end with; empty when it is for real.
func dryRunSuffix(value string) (string, error) {
	switch value {
	case "none", "false":
		return "", nil
	case "client", "true":
		return " (dry run)", nil
	case "server":
		return " (server dry run)", nil
	}
	return "", fmt.Errorf(`invalid dry-run value (%s). Must be "none", "server", or "client"`, value)
}

// apply sends a request with all objects in one call, and returns one result
// for each, by position.
func (c *client) apply(ctx context.Context, req *poddv1.ApplyRequest, objects []*unstructured.Unstructured) ([]*poddv1.ApplyResult, error) {
	for _, object := range objects {
		encoded, err := encode(object)
		if err != nil {
			return nil, err
		}
		req.Objects = append(req.Objects, encoded)
	}
	resp, err := c.objects.Apply(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(resp.GetResults()) != len(objects) {
		return nil, fmt.Errorf("podd answered about %d of %d objects", len(resp.GetResults()), len(objects))
	}
	return resp.GetResults(), nil
}

// show prints warnings and results and returns the objects as stored.
func show(s *session, printer printers.ResourcePrinter, results []*poddv1.ApplyResult, suffix string) ([]*unstructured.Unstructured, error) {
	var stored []*unstructured.Unstructured
	for _, result := range results {
		object, err := decode(result.GetObject())
		if err != nil {
			return nil, err
		}
		for _, warning := range result.GetWarnings() {
			warn(s.errOut, warning)
		}
		if printer == nil {
			if err := said(s.out, object, changeWord(result.GetChange())+suffix); err != nil {
				return nil, err
			}
		}
		stored = append(stored, object)
	}
	if printer == nil {
		return stored, nil
	}
	return stored, printObjects(printer, s.out, stored, false)
}

func changeWord(change poddv1.ApplyResult_Change) string {
	switch change {
	case poddv1.ApplyResult_CHANGE_CREATED:
		return "created"
	case poddv1.ApplyResult_CHANGE_UNCHANGED:
		return "unchanged"
	default:
		return "configured"
	}
}
