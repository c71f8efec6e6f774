package describe

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// ConfigMap describes a ConfigMap with all it holds; the content of binary
// data is only counted.
func ConfigMap(out io.Writer, cm *corev1.ConfigMap, events []corev1.Event, now time.Time) error {
	p := newPage(out, now)
	p.metadata(cm.ObjectMeta)
	p.title("Data")
	for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
		p.line(0, key+":")
		p.line(0, "----")
		p.line(0, cm.Data[key])
		p.line(0)
	}
	p.title("BinaryData")
	for _, key := range slices.Sorted(maps.Keys(cm.BinaryData)) {
		p.line(0, fmt.Sprintf("%s: %d bytes", key, len(cm.BinaryData[key])))
	}
	p.line(0)
	p.events(events)
	return p.flush()
}

// Secret describes a Secret without what it holds: of that only the sizes.
func Secret(out io.Writer, secret *corev1.Secret, events []corev1.Event, now time.Time) error {
	p := newPage(out, now)
	p.metadata(secret.ObjectMeta)
	p.line(0)
	p.line(0, "Type:", secret.Type)
	p.title("Data")
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		p.line(0, key+":", fmt.Sprintf("%d bytes", len(secret.Data[key])))
	}
	if len(events) > 0 {
		p.line(0)
		p.events(events)
	}
	return p.flush()
}

func (p *page) title(text string) {
	p.line(0)
	p.line(0, text)
	p.line(0, "====")
}
