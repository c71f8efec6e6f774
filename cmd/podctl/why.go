package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

func newWhy(s *session) *cobra.Command {
	var output string
	var tail int
	cmd := &cobra.Command{
		Use:   "why POD",
		Short: "Show what podd decided about a pod, and for what reason",
		Long: "Show what podd decided about a pod, the newest last: what was new each time, and what followed from it.\n" +
			"podd records it across its restarts; what is old goes, and all of it goes with the pod.",
		Example:           "  podctl why web\n  podctl why web --tail=3\n  podctl why pod/web -o yaml",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: s.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPlainOutput(output); err != nil {
				return err
			}
			return runWhy(cmd.Context(), s, args[0], tail, output)
		},
	}
	addPlainOutputFlag(cmd, &output)
	cmd.Flags().IntVar(&tail, "tail", -1, "so many decisions from the end; less than 0 is all")
	return cmd
}

func runWhy(ctx context.Context, s *session, arg string, tail int, output string) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	pod, err := s.pod(ctx, c, arg)
	if err != nil {
		return err
	}
	resp, err := c.insight.Why(ctx, &poddv1.WhyRequest{Pod: podRef(pod)})
	if err != nil {
		return err
	}
	decisions := resp.GetDecisions()
	if tail >= 0 {
		decisions = decisions[max(0, len(decisions)-tail):]
	}
	if output != "" {
		return printValue(s.out, whyOf(resp.GetUid(), decisions), output)
	}
	if len(decisions) == 0 {
		fmt.Fprintf(s.errOut, "Nothing is recorded about pod %s.\n", pod.Name)
		return nil
	}
	return printWhy(s.out, decisions)
}

// whyTime is local, to the millisecond.
const whyTime = "2006-01-02 15:04:05.000"

// printWhy prints a row for each thing that was seen or decided, with the time
// at the first of a decision.
func printWhy(out io.Writer, decisions []*poddv1.Decision) error {
	t := &metav1.Table{}
	for _, name := range []string{"Time", "What", "About", "Detail"} {
		t.ColumnDefinitions = append(t.ColumnDefinitions, metav1.TableColumnDefinition{Name: name, Type: "string"})
	}
	for _, d := range decisions {
		when := d.GetTime().AsTime().Local().Format(whyTime)
		row := func(what, about, detail string) {
			t.Rows = append(t.Rows, metav1.TableRow{Cells: []any{when, what, about, detail}})
			when = ""
		}
		for _, f := range d.GetSeen() {
			row("seen", f.GetAbout(), f.GetText())
		}
		for _, step := range d.GetDecided() {
			row("decided", step.GetAbout(), stepText(step))
		}
	}
	w := printers.GetNewTabWriter(out)
	if err := printers.NewTablePrinter(printers.PrintOptions{}).PrintObj(t, w); err != nil {
		return err
	}
	return w.Flush()
}

func stepText(step *poddv1.Step) string {
	text := step.GetAction()
	if reason := step.GetReason(); reason != "" {
		text += ": " + reason
	}
	if step.GetUntil() == nil {
		return text
	}
	until := step.GetUntil().AsTime().Local().Format(time.TimeOnly)
	if step.GetAction() == "Stop" {
		return fmt.Sprintf("%s (killed at %s)", text, until)
	}
	return fmt.Sprintf("%s (until %s)", text, until)
}

// shownWhy is what -o prints.
type shownWhy struct {
	UID       string          `json:"uid"`
	Decisions []shownDecision `json:"decisions"`
}

type shownDecision struct {
	Time    time.Time      `json:"time"`
	Seen    []shownFinding `json:"seen,omitempty"`
	Decided []shownStep    `json:"decided,omitempty"`
}

type shownFinding struct {
	About string `json:"about"`
	Text  string `json:"text"`
}

type shownStep struct {
	About  string     `json:"about"`
	Action string     `json:"action"`
	Reason string     `json:"reason,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
}

func whyOf(uid string, decisions []*poddv1.Decision) shownWhy {
	w := shownWhy{UID: uid, Decisions: []shownDecision{}}
	for _, d := range decisions {
		shown := shownDecision{Time: d.GetTime().AsTime()}
		for _, f := range d.GetSeen() {
			shown.Seen = append(shown.Seen, shownFinding{f.GetAbout(), f.GetText()})
		}
		for _, s := range d.GetDecided() {
			shown.Decided = append(shown.Decided, shownStep{s.GetAbout(), s.GetAction(), s.GetReason(), timeOf(s.GetUntil())})
		}
		w.Decisions = append(w.Decisions, shown)
	}
	return w
}

func timeOf(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	at := t.AsTime()
	return &at
}
