package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

func newConfig(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Keep the addresses and namespaces that are used often",
		Long: "Keep the addresses and namespaces that are used often, each pair under a name: a context.\n" +
			"They are in $PODD_CONFIG, else in ~/.config/podctl/config.yaml.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newGetContexts(s), newCurrentContext(s), newUseContext(s),
		newSetContext(s), newDeleteContext(s), newConfigView(s),
	)
	return cmd
}

func newGetContexts(s *session) *cobra.Command {
	var output string
	var noHeaders bool
	cmd := &cobra.Command{
		Use:               "get-contexts [NAME...]",
		Short:             "Show contexts",
		ValidArgsFunction: s.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			if output != "" && output != "name" {
				return fmt.Errorf("output must be one of '' or 'name': %s", output)
			}
			return s.printContexts(args, output == "name", noHeaders)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "how to print: name")
	cmd.Flags().BoolVar(&noHeaders, "no-headers", false, "without the headers of the table")
	return cmd
}

// printContexts prints those that are named, or all, in the order of names.
func (s *session) printContexts(names []string, onlyNames, noHeaders bool) error {
	f, err := s.readContexts()
	if err != nil {
		return err
	}
	var wrong []error
	if len(names) == 0 {
		names = f.names()
	}
	w := printers.GetNewTabWriter(s.out)
	if !onlyNames && !noHeaders {
		fmt.Fprintln(w, "CURRENT\tNAME\tADDRESS\tNAMESPACE")
	}
	for _, name := range names {
		c := f.find(name)
		switch {
		case c == nil:
			wrong = append(wrong, fmt.Errorf("context %s not found", name))
		case onlyNames:
			fmt.Fprintln(w, name)
		default:
			mark := ""
			if name == f.Current {
				mark = "*"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", mark, c.Name, c.Address, c.Namespace)
		}
	}
	return errors.Join(append(wrong, w.Flush())...)
}

// names are the names of all contexts, in order.
func (f *contextFile) names() []string {
	var names []string
	for _, c := range f.Contexts {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

func newCurrentContext(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "current-context",
		Short: "Print the name of the current context",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := s.readContexts()
			if err != nil {
				return err
			}
			if f.Current == "" {
				return errors.New("current-context is not set")
			}
			fmt.Fprintln(s.out, f.Current)
			return nil
		},
	}
}

func newUseContext(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "use-context NAME",
		Aliases:           []string{"use"},
		Short:             "Make a context the current one",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: s.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := s.readContexts()
			if err != nil {
				return err
			}
			if f.find(args[0]) == nil {
				return fmt.Errorf("no context exists with the name: %q", args[0])
			}
			f.Current = args[0]
			if err := s.writeContexts(f); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "Switched to context %q.\n", args[0])
			return nil
		},
	}
}

func newSetContext(s *session) *cobra.Command {
	var current bool
	cmd := &cobra.Command{
		Use:   "set-context (NAME | --current) [--address=ADDRESS] [--namespace=NAMESPACE] [--certificate-authority=FILE --client-certificate=FILE --client-key=FILE]",
		Short: "Make or change a context",
		Long:  "Make or change a context. What is not said stays as it is.",
		Example: "  podctl config set-context edge --address=unix:///run/podd/podd.sock --namespace=prod\n" +
			"  podctl config set-context far --address=tcp://edge-7:9470 --certificate-authority=ca.crt --client-certificate=me.crt --client-key=me.key\n" +
			"  podctl config set-context --current --namespace=test",
		ValidArgsFunction: s.completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == current {
				return errors.New("you must specify a non-empty context name or --current")
			}
			return s.setContext(strings.Join(args, ""), cmd.Flags().Changed)
		},
	}
	cmd.Flags().BoolVar(&current, "current", false, "change the current context")
	return cmd
}

// setContext changes a context, the current one without a name, by the global
// flags that were given.
func (s *session) setContext(name string, given func(flag string) bool) error {
	f, err := s.readContexts()
	if err != nil {
		return err
	}
	if name == "" {
		name = f.Current
	}
	if name == "" {
		return errors.New("no current context is set")
	}
	done := "modified"
	c := f.find(name)
	if c == nil {
		f.Contexts = append(f.Contexts, namedContext{Name: name})
		c = f.find(name)
		done = "created"
	}
	if given("address") {
		if _, err := grpcTarget(s.address); err != nil {
			return err
		}
		c.Address = s.address
	}
	if given("namespace") {
		c.Namespace = s.namespace
	}
	if c.certificates, err = s.absoluteCertificates(c.certificates); err != nil {
		return err
	}
	if err := s.writeContexts(f); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Context %q %s.\n", name, done)
	return nil
}

func newDeleteContext(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "delete-context NAME",
		Short:             "Forget a context",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: s.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := s.readContexts()
			if err != nil {
				return err
			}
			if f.find(args[0]) == nil {
				return fmt.Errorf("cannot delete context %s, not in %s", args[0], s.contextPath())
			}
			f.Contexts = slices.DeleteFunc(f.Contexts, func(c namedContext) bool { return c.Name == args[0] })
			if f.Current == args[0] {
				f.Current = ""
				warn(s.errOut, `this removed your active context, use "podctl config use-context" to select a different one`)
			}
			if err := s.writeContexts(f); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "deleted context %s from %s\n", args[0], s.contextPath())
			return nil
		},
	}
}

func newConfigView(s *session) *cobra.Command {
	var minify bool
	cmd := &cobra.Command{
		Use:   "view",
		Short: "Print all contexts as they are kept",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := s.readContexts()
			if err != nil {
				return err
			}
			if minify {
				if err := s.settle(); err != nil {
					return err
				}
				if s.inForce.Name == "" {
					return errors.New("current-context must exist in order to minify")
				}
				f = &contextFile{Current: s.inForce.Name, Contexts: []namedContext{s.inForce}}
			}
			text, err := yaml.Marshal(f)
			if err != nil {
				return fmt.Errorf("encode contexts: %w", err)
			}
			_, err = s.out.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&minify, "minify", false, "only the context in force")
	return cmd
}

// completeContexts completes the name of a context.
func (s *session) completeContexts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	f, err := s.readContexts()
	if err != nil {
		return nil, noFiles
	}
	return without(f.names(), args), noFiles
}
