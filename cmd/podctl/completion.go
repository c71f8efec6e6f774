package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionPatience is how long a shell waits for names from podd.
const completionPatience = 2 * time.Second

const noFiles = cobra.ShellCompDirectiveNoFileComp

// complete registers what completes a flag's value. That the flag exists is a
// matter of the program's text.
func complete(cmd *cobra.Command, flag string, with cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, with); err != nil {
		panic(err)
	}
}

// names are the names of all objects of a kind; none when podd does not answer.
func (s *session) names(ctx context.Context, k kind) []string {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	c, err := s.connect()
	if err != nil {
		return nil
	}
	defer c.close()
	namespace := s.space()
	if k.cluster {
		namespace = ""
	}
	objects, err := c.list(ctx, k, namespace, "", "")
	if err != nil {
		return nil
	}
	var names []string
	for _, object := range objects {
		names = append(names, object.GetName())
	}
	return names
}

// completeObjects completes KIND NAME... and KIND/NAME....
func (s *session) completeObjects(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if word, _, found := strings.Cut(toComplete, "/"); found && (len(args) == 0 || strings.Contains(args[0], "/")) {
		k, err := kindOf(word)
		if err != nil {
			return nil, noFiles
		}
		names := s.names(cmd.Context(), k)
		for i := range names {
			names[i] = word + "/" + names[i]
		}
		return without(names, args), noFiles
	}
	if len(args) == 0 {
		var words []string
		for _, k := range kinds() {
			words = append(words, k.plural)
		}
		return words, noFiles
	}
	k, err := kindOf(args[0])
	if err != nil {
		return nil, noFiles
	}
	return without(s.names(cmd.Context(), k), args[1:]), noFiles
}

// completePods completes the one pod that logs and exec take.
func (s *session) completePods(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return s.names(cmd.Context(), kindNamed("Pod")), noFiles
}

// completeContainers completes -c from the pod that is named already.
func (s *session) completeContainers(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, noFiles
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	c, err := s.connect()
	if err != nil {
		return nil, noFiles
	}
	defer c.close()
	pod, err := s.pod(ctx, c, args[0])
	if err != nil {
		return nil, noFiles
	}
	return containerNames(pod), noFiles
}

func (s *session) completeImages(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return without(s.names(cmd.Context(), kindNamed(imageKind)), args), noFiles
}

// completeNamespaces completes the namespaces that have a pod.
func (s *session) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	c, err := s.connect()
	if err != nil {
		return nil, noFiles
	}
	defer c.close()
	pods, err := c.list(ctx, kindNamed("Pod"), "", "", "")
	if err != nil {
		return nil, noFiles
	}
	var namespaces []string
	for _, pod := range pods {
		namespaces = append(namespaces, pod.GetNamespace())
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces), noFiles
}

// without is names without those that are written already.
func without(names, written []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(written, name) })
}
