package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/printers"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

func newTop(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what pods and the node use",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTopPods(s), newTopNodes(s))
	return cmd
}

// topFlags are how top prints.
type topFlags struct {
	sortBy    string
	noHeaders bool
}

func (f *topFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.sortBy, "sort-by", "", "the greatest first by: cpu|memory")
	cmd.Flags().BoolVar(&f.noHeaders, "no-headers", false, "without the headers of the table")
}

func (f *topFlags) check() error {
	if f.sortBy != "" && f.sortBy != "cpu" && f.sortBy != "memory" {
		return fmt.Errorf("--sort-by accepts only cpu or memory")
	}
	return nil
}

// used is what something uses: thousandths of a processor, and bytes.
type used struct {
	name          []string // its columns
	milli, memory int64
}

func usedBy(cpu *stats.CPUStats, memory *stats.MemoryStats, name ...string) used {
	u := used{name: name}
	if cpu != nil && cpu.UsageNanoCores != nil {
		u.milli = (int64(*cpu.UsageNanoCores) + 999_999) / 1_000_000 // up, as kubectl does
	}
	if memory != nil && memory.WorkingSetBytes != nil {
		u.memory = int64(*memory.WorkingSetBytes)
	}
	return u
}

// cpu and mem are as kubectl writes them.
func (u used) cpu() string { return fmt.Sprintf("%dm", u.milli) }
func (u used) mem() string { return fmt.Sprintf("%dMi", u.memory>>20) }

// sort orders by the columns of names, or by what is used, the greatest first.
func (f *topFlags) sort(all []used) {
	slices.SortStableFunc(all, func(a, b used) int {
		byName := slices.Compare(a.name, b.name)
		switch f.sortBy {
		case "cpu":
			return cmp.Or(cmp.Compare(b.milli, a.milli), byName)
		case "memory":
			return cmp.Or(cmp.Compare(b.memory, a.memory), byName)
		}
		return byName
	})
}

// topPods is one call of top pods.
type topPods struct {
	topFlags
	selection
	containers, sum bool
}

func newTopPods(s *session) *cobra.Command {
	t := topPods{}
	cmd := &cobra.Command{
		Use:     "pods [NAME]",
		Aliases: []string{"pod", "po"},
		Short:   "Show what pods use",
		Long: "Show what pods use: processors over the last seconds, and memory that would be hard to take away.\n\n" +
			"A pod that does not run uses nothing and is not shown.",
		Example: "  podctl top pods -A --sort-by=cpu\n  podctl top pod web --containers",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.check(); err != nil {
				return err
			}
			if err := t.parse(append([]string{"pods"}, args...)); err != nil {
				return err
			}
			return t.run(cmd.Context(), s)
		},
	}
	t.add(cmd)
	t.addFlags(cmd)
	cmd.Flags().BoolVar(&t.containers, "containers", false, "show containers one by one")
	cmd.Flags().BoolVar(&t.sum, "sum", false, "add a line with the sum")
	return cmd
}

func (t *topPods) run(ctx context.Context, s *session) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	objects, err := t.objects(ctx, s, c)
	if err != nil {
		return err
	}
	summary, err := c.stats(ctx)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, o := range objects {
		wanted[string(o.GetUID())] = true
	}
	var all []used
	for _, p := range summary.Pods {
		if wanted[p.PodRef.UID] {
			all = append(all, t.lines(p)...)
		}
	}
	if len(all) == 0 {
		return t.nothing(s)
	}
	t.sort(all)
	return t.print(s.out, all)
}

// lines are a pod's, or its containers'.
func (t *topPods) lines(p stats.PodStats) []used {
	var prefix []string
	if t.allNamespaces {
		prefix = []string{p.PodRef.Namespace}
	}
	if !t.containers {
		return []used{usedBy(p.CPU, p.Memory, append(prefix, p.PodRef.Name)...)}
	}
	all := make([]used, 0, len(p.Containers))
	for _, c := range p.Containers {
		all = append(all, usedBy(c.CPU, c.Memory, append(slices.Clone(prefix), p.PodRef.Name, c.Name)...))
	}
	return all
}

// nothing is a failure for a pod that was named.
func (t *topPods) nothing(s *session) error {
	if t.named() {
		return fmt.Errorf("pod %q does not run: it uses nothing", t.targets[0].name)
	}
	place := " in " + s.space() + " namespace."
	if t.allNamespaces {
		place = ""
	}
	fmt.Fprintf(s.errOut, "No resources found%s\n", place)
	return nil
}

func (t *topPods) print(out io.Writer, all []used) error {
	w := printers.GetNewTabWriter(out)
	headers := []string{"NAME"}
	if t.containers {
		headers = []string{"POD", "NAME"}
	}
	if t.allNamespaces {
		headers = append([]string{"NAMESPACE"}, headers...)
	}
	if !t.noHeaders {
		fmt.Fprintln(w, strings.Join(headers, "\t")+"\tCPU(cores)\tMEMORY(bytes)\t")
	}
	sum := used{}
	for _, u := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", strings.Join(u.name, "\t"), u.cpu(), u.mem())
		sum.milli += u.milli
		sum.memory += u.memory
	}
	if t.sum {
		blank := strings.Repeat("\t", len(headers))
		fmt.Fprintf(w, "%s________\t________\t\n%s%s\t%s\t\n", blank, blank, sum.cpu(), sum.mem())
	}
	return w.Flush()
}

func newTopNodes(s *session) *cobra.Command {
	f := topFlags{}
	cmd := &cobra.Command{
		Use:     "nodes [NAME]",
		Aliases: []string{"node", "no"},
		Short:   "Show what the node uses",
		Long:    "Show what the node uses, also as part of what pods may have of it.",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.nodes(cmd.Context(), s, args)
		},
	}
	f.add(cmd)
	return cmd
}

func (f *topFlags) nodes(ctx context.Context, s *session, names []string) error {
	sel := selection{}
	if err := sel.parse(append([]string{"nodes"}, names...)); err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	nodes, err := sel.objects(ctx, s, c)
	if err != nil {
		return err
	}
	summary, err := c.stats(ctx)
	if err != nil {
		return err
	}
	w := printers.GetNewTabWriter(s.out)
	if !f.noHeaders {
		fmt.Fprintln(w, "NAME\tCPU(cores)\tCPU(%)\tMEMORY(bytes)\tMEMORY(%)\t")
	}
	for _, object := range nodes { // there is one
		node, err := typed[corev1.Node](object)
		if err != nil {
			return err
		}
		u := usedBy(summary.Node.CPU, summary.Node.Memory, node.Name)
		have := node.Status.Allocatable
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t\n", node.Name,
			u.cpu(), percent(u.milli, have.Cpu().MilliValue()), u.mem(), percent(u.memory, have.Memory().Value()))
	}
	return w.Flush()
}

func percent(part, whole int64) string {
	if whole <= 0 {
		return "<unknown>"
	}
	return fmt.Sprintf("%d%%", part*100/whole)
}

// stats asks what processors and memory are used.
func (c *client) stats(ctx context.Context) (*stats.Summary, error) {
	resp, err := c.node.Stats(ctx, &poddv1.StatsRequest{OnlyCpuAndMemory: true})
	if err != nil {
		return nil, err
	}
	summary := &stats.Summary{}
	if err := json.Unmarshal(resp.GetJson(), summary); err != nil {
		return nil, fmt.Errorf("read podd's summary: %w", err)
	}
	return summary, nil
}
