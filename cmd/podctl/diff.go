package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

func newDiff(s *session) *cobra.Command {
	var files manifests
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIR|-",
		Short: "Show what apply would change",
		Long: "Show what apply would change, as podd sees it. It ends with 0 when nothing would, with 1 when something\n" +
			"would, and with 2 when that can't be told. $KUBECTL_EXTERNAL_DIFF is a program to compare with, in place of diff -u -N.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := runDiff(cmd.Context(), s, &files)
			var end exitError
			if err == nil || errors.As(err, &end) {
				return err
			}
			s.report(err)
			return exitError{code: 2, silent: true}
		},
	}
	files.addFlags(cmd)
	return cmd
}

func runDiff(ctx context.Context, s *session, files *manifests) error {
	if len(files.files) == 0 {
		return errors.New("must specify -f")
	}
	objects, err := files.load(s)
	if err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	results, err := c.apply(ctx, &poddv1.ApplyRequest{DryRun: true}, objects)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "podctl-diff-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, side := range []string{"LIVE", "MERGED"} {
		if err := os.Mkdir(filepath.Join(dir, side), 0o700); err != nil {
			return err
		}
	}
	for _, r := range results {
		after, err := decode(r.GetObject())
		if err != nil {
			return err
		}
		if err := writeSides(ctx, c, dir, after); err != nil {
			return err
		}
	}
	return compare(ctx, s, dir)
}

// writeSides writes an object as it is, if it is, and as it would be.
func writeSides(ctx context.Context, c *client, dir string, after *unstructured.Unstructured) error {
	r := refOf(after)
	before, err := c.get(ctx, ref{kind: r.kind, namespace: r.namespace, name: r.name})
	if err != nil && !isNotFound(err) {
		return err
	}
	name := strings.Join([]string{"v1", after.GetKind(), after.GetNamespace(), after.GetName()}, ".")
	if err != nil {
		before = nil
	}
	mask(before, after)
	if before != nil {
		after.SetResourceVersion(before.GetResourceVersion()) // every change has one
		if err := writeSide(filepath.Join(dir, "LIVE", name), before); err != nil {
			return err
		}
	}
	return writeSide(filepath.Join(dir, "MERGED", name), after)
}

func writeSide(path string, o *unstructured.Unstructured) error {
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// mask hides the values of a Secret, and tells only which of them change: a
// digest of one that is easy to guess would give it away. before is nil for a
// new one.
func mask(before, after *unstructured.Unstructured) {
	if after.GetKind() != "Secret" {
		return
	}
	var was map[string]any
	if before != nil {
		was, _, _ = unstructured.NestedMap(before.Object, "data")
	}
	becomes, _, _ := unstructured.NestedMap(after.Object, "data")
	if was != nil {
		before.Object["data"] = masked(was, becomes, "before")
	}
	if becomes != nil {
		after.Object["data"] = masked(becomes, was, "after")
	}
}

// masked are the values of one side; those that differ from the other side's
// say which side they are.
func masked(own, other map[string]any, side string) map[string]any {
	hidden := make(map[string]any, len(own))
	for key, value := range own {
		hidden[key] = "***"
		if there, found := other[key]; found && there != value {
			hidden[key] = "*** (" + side + ")"
		}
	}
	return hidden
}

// compare runs the program that compares; its exit code 1 is a difference.
func compare(ctx context.Context, s *session, dir string) error {
	program := []string{"diff", "-u", "-N"}
	if own := strings.Fields(s.getenv("KUBECTL_EXTERNAL_DIFF")); len(own) > 0 {
		program = own
	}
	cmd := exec.CommandContext(ctx, program[0], append(program[1:], filepath.Join(dir, "LIVE"), filepath.Join(dir, "MERGED"))...)
	cmd.Stdout, cmd.Stderr = s.out, s.errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return exitError{code: 1, silent: true}
	}
	if err != nil {
		return fmt.Errorf("run %q: %w", program[0], err)
	}
	return nil
}
