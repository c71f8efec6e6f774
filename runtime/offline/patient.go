package offline

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// Puller fetches images. runtime.Images is one.
type Puller interface {
	Pull(ctx context.Context, cfg pod.PullConfig) (pod.Pulled, error)
	// Here is an image that is here, and whether it is.
	Here(ctx context.Context, ref string) (pod.Image, bool, error)
}

// Patient fetches nothing before the archives that are there are loaded: they
// may have it, and the network may be dear or not there.
type Patient struct {
	Puller
	// Look waits for the archives; it is a Directory's.
	Look func(context.Context) error
}

// Pull is a Puller's, for what no archive has.
func (p Patient) Pull(ctx context.Context, cfg pod.PullConfig) (pod.Pulled, error) {
	if err := p.Look(ctx); err != nil {
		return pod.Pulled{}, err
	}
	if cfg.Policy == corev1.PullIfNotPresent && cfg.Platform == "" {
		if img, ok, err := p.Here(ctx, cfg.Ref); ok || err != nil {
			return pod.Pulled{Image: img}, err
		}
	}
	return p.Puller.Pull(ctx, cfg)
}
