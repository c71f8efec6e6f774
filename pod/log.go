package pod

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// LogOptions say what to read.
type LogOptions struct {
	Pod       Key
	Container string
	// Attempt is the instance to read.
	Attempt    int
	Follow     bool
	Tail       *int64
	LimitBytes *int64
	Since      time.Time
	Timestamps bool
	// Done is closed when the container has ended for good; it may be nil.
	Done <-chan struct{}
}

// LogLimits bound what the log of one instance of a container takes of the
// disk.
type LogLimits struct {
	// MaxSize is in bytes: a file that has reached it is rotated.
	MaxSize int64
	// MaxFiles counts the present file and the rotated ones.
	MaxFiles int
}

// The annotations that give a pod's logs limits of their own. Each holds one
// value for all containers, or values for some, as in "web=100Mi,db=1Gi".
const (
	LogMaxSizeAnnotation  = "podd.io/log-max-size"
	LogMaxFilesAnnotation = "podd.io/log-max-files"
)

// minLogSize is the smallest limit that may be asked for, in bytes.
const minLogSize = 64 << 10

// LogLimitsOf are the limits that a pod's annotations give a container; what
// they do not say is zero. The error names the annotation.
func LogLimitsOf(p *corev1.Pod, container string) (l LogLimits, err error) {
	for key, take := range map[string]func(string) error{
		LogMaxSizeAnnotation:  func(text string) (err error) { l.MaxSize, err = ParseLogSize(text); return err },
		LogMaxFilesAnnotation: func(text string) (err error) { l.MaxFiles, err = parseLogFiles(text); return err },
	} {
		text, err := annotated(p, key, container)
		if err == nil && text != "" {
			err = take(text)
		}
		if err != nil {
			return LogLimits{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	return l, nil
}

func parseLogFiles(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return 0, fmt.Errorf("%q is not a number from 1 to 1000", text)
	}
	return n, nil
}

// ParseLogSize reads a size in bytes, of 64 KiB at least.
func ParseLogSize(text string) (int64, error) {
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a quantity of bytes: %w", text, err)
	}
	if q.Value() < minLogSize {
		return 0, fmt.Errorf("%s is less than 64Ki", text)
	}
	return q.Value(), nil
}

// annotated is an annotation's value for a container: the whole value, or its
// part in a list of container=value. Every container named has to exist.
func annotated(p *corev1.Pod, key, container string) (string, error) {
	text := strings.TrimSpace(p.Annotations[key])
	if !strings.Contains(text, "=") {
		return text, nil
	}
	value := ""
	for part := range strings.SplitSeq(text, ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || v == "" {
			return "", fmt.Errorf("%q is not of the form container=value", part)
		}
		if !hasContainer(p, name) {
			return "", fmt.Errorf("the pod has no container %q", name)
		}
		if name == container {
			value = v
		}
	}
	return value, nil
}

func hasContainer(p *corev1.Pod, name string) bool {
	named := func(c corev1.Container) bool { return c.Name == name }
	return slices.ContainsFunc(p.Spec.Containers, named) || slices.ContainsFunc(p.Spec.InitContainers, named) || ephemeral(p, name) != nil
}
