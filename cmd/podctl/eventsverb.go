package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newEvents(s *session) *cobra.Command {
	f := getFlags{}
	var about string
	var types []string
	cmd := &cobra.Command{
		Use:     "events",
		Short:   "Show what happened, the last last",
		Example: "  podctl events\n  podctl events --for=pod/web --types=Warning -w",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selector, err := eventSelector(about, types)
			if err != nil {
				return err
			}
			if err := f.parse([]string{"events"}); err != nil {
				return err
			}
			f.fields = selector
			return f.run(cmd.Context(), s)
		},
	}
	addOutputFlag(cmd, &f.output)
	flags := cmd.Flags()
	flags.StringVar(&about, "for", "", "only about this object, KIND/NAME")
	flags.StringSliceVar(&types, "types", nil, "only of these types: Normal, Warning")
	flags.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "in all namespaces")
	flags.BoolVarP(&f.watch, "watch", "w", false, "after showing what happened, show what happens")
	flags.BoolVar(&f.noHeaders, "no-headers", false, "without the headers of the table")
	return cmd
}

func eventSelector(about string, types []string) (string, error) {
	var parts []string
	if about != "" {
		word, name, ok := strings.Cut(about, "/")
		if !ok || name == "" {
			return "", errors.New("--for must be in resource/name form")
		}
		k, err := kindOf(word)
		if err != nil {
			return "", err
		}
		parts = append(parts, "involvedObject.kind="+k.name, "involvedObject.name="+name)
	}
	for _, t := range types {
		if !slices.ContainsFunc([]string{"Normal", "Warning"}, func(known string) bool { return strings.EqualFold(t, known) }) {
			return "", fmt.Errorf("valid --types are Normal or Warning, not %q", t)
		}
	}
	if len(types) == 1 { // both are all
		parts = append(parts, "type="+strings.ToUpper(types[0][:1])+strings.ToLower(types[0][1:]))
	}
	return strings.Join(parts, ","), nil
}
