package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"google.golang.org/protobuf/encoding/protojson"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/cmd/podctl/chart"
)

func newBootChart(s *session) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "boot-chart [POD...]",
		Short: "Show where the time of podd's start, or of pods' starts, went",
		Long: "Show where the time until pods were ready went, action by action, as SVG on standard output or as a table.\n\n" +
			"Without a POD it is the time from podd's start on: podd's own start, and the pods that came up with it. " +
			"With PODs it is the time from the submission of the first of them, or from the loss of its last sandbox.\n" +
			"The steps of a start are those of this podd: an earlier one's are not known.",
		Example:           "  podctl boot-chart > boot.svg\n  podctl boot-chart -o wide\n  podctl boot-chart web > web.svg",
		ValidArgsFunction: s.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch output {
			case "svg", "wide", "json":
			default:
				return fmt.Errorf("--output must be 'svg', 'wide' or 'json'")
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.close()
			t, err := c.timeline(cmd.Context(), s.space(), args)
			if err != nil {
				return err
			}
			return s.printTimeline(t, len(args) == 0, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "svg", "how to print: svg|wide|json")
	complete(cmd, "output", cobra.FixedCompletions([]string{"svg", "wide", "json"}, noFiles))
	return cmd
}

// timeline is that of the pods, or of all.
func (c *client) timeline(ctx context.Context, namespace string, pods []string) (*poddv1.TimelineResponse, error) {
	if len(pods) == 0 {
		return c.insight.Timeline(ctx, &poddv1.TimelineRequest{})
	}
	var all *poddv1.TimelineResponse
	for _, name := range pods {
		one, err := c.insight.Timeline(ctx, &poddv1.TimelineRequest{Pod: &poddv1.PodRef{Namespace: namespace, Name: name}})
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = one
			continue
		}
		all.Now, all.Pods = one.GetNow(), append(all.GetPods(), one.GetPods()...)
	}
	return all, nil
}

func (s *session) printTimeline(t *poddv1.TimelineResponse, boot bool, output string) error {
	switch output {
	case "json":
		text, err := protojson.MarshalOptions{Multiline: true}.Marshal(t)
		if err != nil {
			return fmt.Errorf("encode the timeline: %w", err)
		}
		_, err = fmt.Fprintf(s.out, "%s\n", text)
		return err
	case "wide":
		return printers.NewTablePrinter(printers.PrintOptions{Wide: true}).PrintObj(timelineTable(t, boot), s.out)
	}
	return chart.Write(s.out, timelineChart(t, boot))
}

// timelineTable has a line for each of podd's phases, each pod and each step.
func timelineTable(t *poddv1.TimelineResponse, boot bool) *metav1.Table {
	b := newBoot(t, boot)
	table := &metav1.Table{}
	for _, name := range []string{"Pod", "Step", "Subject", "At", "Waited", "Took", "Result", "Reason"} {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: name, Type: "string"})
	}
	line := func(cells ...any) { table.Rows = append(table.Rows, metav1.TableRow{Cells: cells}) }
	for _, p := range b.phases {
		line("<podd>", p.name, "", b.at(p.began), "", chart.Took(p.ended.Sub(p.began)), p.result(), "")
	}
	for _, p := range b.pods {
		line(p.name, "", "", b.at(p.begun), "", chart.Took(p.over.Sub(p.begun)), p.outcome, p.note)
		for _, st := range p.steps {
			line(p.name, st.kind, st.subject, b.at(st.wanted), chart.Took(st.began.Sub(st.wanted)), chart.Took(st.ended.Sub(st.began)), st.result(), st.reason)
		}
	}
	return table
}

// at is a moment on the chart's axis.
func (b *boot) at(then time.Time) string {
	if d := then.Sub(b.from); d < 0 {
		return "-" + chart.Took(-d)
	} else if d > 0 {
		return "+" + chart.Took(d)
	}
	return "0"
}
