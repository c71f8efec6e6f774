package describe

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/cmd/podctl/table"
)

// events writes what happened, the last one last.
func (p *page) events(events []corev1.Event) {
	if len(events) == 0 {
		p.line(0, "Events:", none)
		return
	}
	p.line(0, "Events:")
	p.heading("Type", "Reason", "Age", "From", "Message")
	for _, e := range events {
		age := table.Age(table.EventLast(&e), p.now)
		if count := table.EventCount(&e); count > 1 {
			age = fmt.Sprintf("%s (x%d over %s)", age, count, table.Age(table.EventFirst(&e), p.now))
		}
		p.line(1, e.Type, e.Reason, age, or(e.Source.Component, e.ReportingController), strings.TrimSpace(e.Message))
	}
}
