package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// waitFlags are the flags of wait.
type waitFlags struct {
	selection
	all     bool
	until   string
	timeout time.Duration
}

func newWait(s *session) *cobra.Command {
	var f waitFlags
	cmd := &cobra.Command{
		Use:   "wait KIND/NAME... | KIND NAME... | KIND (-l SELECTOR | --all) --for=CONDITION",
		Short: "Wait for a condition of objects",
		Example: "  podctl wait --for=condition=Ready pod/web\n  podctl wait --for=delete pod/web --timeout=60s\n" +
			"  podctl wait --for=jsonpath='{.status.phase}'=Succeeded pod/job\n  podctl wait --for=create pod/web",
		ValidArgsFunction: s.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(args); err != nil {
				return err
			}
			return f.run(cmd.Context(), s)
		},
	}
	f.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.until, "for", "", "what to wait for: condition=NAME[=VALUE], delete, create, jsonpath=PATH[=VALUE]")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for all of them: 0 looks once, less than 0 waits for ever")
	flags.BoolVar(&f.all, "all", false, "all objects of the kind")
	complete(cmd, "for", cobra.FixedCompletions([]string{"condition=Ready", "delete", "create", "jsonpath="}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	return cmd
}

func (f *waitFlags) run(ctx context.Context, s *session) error {
	ask, err := parseCondition(f.until)
	if err != nil {
		return err
	}
	if !f.named() && f.labels == "" && f.fields == "" && !f.all {
		return errors.New("resource(s) were provided, but no name, label selector, or --all flag specified")
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	refs, err := f.refs(ctx, s, c)
	if err != nil {
		return err
	}
	if len(refs) == 0 && f.until != "delete" {
		return errors.New("no matching resources found")
	}
	return f.waitAll(ctx, s, c, refs, ask)
}

// waitAll waits for one after the other, within one patience.
func (f *waitFlags) waitAll(ctx context.Context, s *session, c *client, refs []ref, ask func(ref) verdict) error {
	p := s.waitAtMost(f.timeout)
	var wrong []error
	shown := s.waitFor(refs...)
	defer shown.end()
	for _, r := range refs {
		var last *unstructured.Unstructured
		verdict := ask(r)
		err := c.await(ctx, r, p, func(object *unstructured.Unstructured) (bool, error) {
			if object != nil {
				last = object
			}
			return verdict(object)
		})
		shown.end() // for what is said
		if err != nil {
			wrong = append(wrong, timedOut(err, r))
		} else if last != nil {
			if err := said(s.out, last, "condition met"); err != nil {
				return err
			}
		}
		shown.over(r)
	}
	return errors.Join(wrong...)
}

// parseCondition reads what --for takes.
func parseCondition(text string) (func(ref) verdict, error) {
	name, rest, _ := strings.Cut(text, "=")
	switch strings.ToLower(name) {
	case "":
		return nil, errors.New("--for is required: condition=NAME[=VALUE], delete, create or jsonpath=PATH[=VALUE]")
	case "delete":
		return gone, nil
	case "create":
		return func(ref) verdict {
			return func(object *unstructured.Unstructured) (bool, error) { return object != nil, nil }
		}, nil
	case "condition":
		condition, value, found := strings.Cut(rest, "=")
		if !found {
			value = "true"
		}
		return present(func(object *unstructured.Unstructured) (bool, error) {
			return strings.EqualFold(conditionStatus(object, condition), value), nil
		}), nil
	case "jsonpath":
		return parsePathCondition(rest)
	}
	return nil, fmt.Errorf("unrecognized condition: %q", text)
}

// parsePathCondition reads {.path}=value, or {.path} for "it is there".
func parsePathCondition(text string) (func(ref) verdict, error) {
	text = strings.Trim(text, `'"`)
	end := strings.LastIndex(text, "}") + 1
	rest, want, compare := strings.Cut(text[end:], "=")
	path := text[:end] + rest
	want = strings.Trim(want, `'"`)
	if compare && want == "" {
		return nil, errors.New("jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.phase}'=Running")
	}
	parsed, err := parsePath(strings.Trim(path, `'"`))
	if err != nil {
		return nil, err
	}
	return present(func(object *unstructured.Unstructured) (bool, error) {
		values, err := find(parsed, object.Object)
		if err != nil || len(values) == 0 || !compare {
			return len(values) > 0, err
		}
		if len(values) > 1 {
			return false, errors.New("given jsonpath expression matches more than one value")
		}
		return fmt.Sprint(values[0]) == want, nil
	}), nil
}

// present asks about an object that has to be there.
func present(met func(*unstructured.Unstructured) (bool, error)) func(ref) verdict {
	return func(r ref) verdict {
		return func(object *unstructured.Unstructured) (bool, error) {
			if object == nil {
				return false, notFound(r)
			}
			return met(object)
		}
	}
}

// conditionStatus is the status of a condition, which may be written in any
// case; empty when there is none.
func conditionStatus(object *unstructured.Unstructured, name string) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, item := range conditions {
		condition, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if kind, _ := condition["type"].(string); strings.EqualFold(kind, name) {
			status, _ := condition["status"].(string)
			return status
		}
	}
	return ""
}
