package metrics

import "github.com/prometheus/client_golang/prometheus"

// Images counts what became of images on disk. It is safe for use by many
// goroutines.
type Images struct {
	collected *prometheus.CounterVec
	damaged   *prometheus.CounterVec
	kubelet   *prometheus.CounterVec
}

// NewImages makes counters at zero.
func NewImages() *Images {
	i := &Images{
		collected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podd_garbage_collected_total",
			Help: "How many images, and logs of finished pods, were removed because nobody needed them, by what made podd do it: age, or space for want of room.",
		}, []string{"what", "reason"}),
		damaged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podd_damaged_images_total",
			Help: "How often an image was found damaged on disk, by what became of it: repaired, damaged still, or lost.",
		}, []string{"state"}),
		kubelet: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubelet_image_garbage_collected_total",
			Help: "How many images were removed because nobody needed them, as a kubelet counts them.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"age", "space"} {
		i.kubelet.WithLabelValues(reason)
		for _, what := range []string{"image", "log"} {
			i.collected.WithLabelValues(what, reason)
		}
	}
	for _, state := range []string{"repaired", "damaged", "lost"} {
		i.damaged.WithLabelValues(state)
	}
	return i
}

// Collected counts something that was removed: "image" or "log", and why.
func (i *Images) Collected(what, reason string) {
	i.collected.WithLabelValues(what, reason).Inc()
	if what == "image" {
		i.kubelet.WithLabelValues(reason).Inc()
	}
}

// Damaged counts an image that was not found sound.
func (i *Images) Damaged(state string) { i.damaged.WithLabelValues(state).Inc() }

// Describe implements prometheus.Collector.
func (i *Images) Describe(out chan<- *prometheus.Desc) {
	i.collected.Describe(out)
	i.damaged.Describe(out)
	i.kubelet.Describe(out)
}

// Collect implements prometheus.Collector.
func (i *Images) Collect(out chan<- prometheus.Metric) {
	i.collected.Collect(out)
	i.damaged.Collect(out)
	i.kubelet.Collect(out)
}
