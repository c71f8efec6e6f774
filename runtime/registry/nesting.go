package registry

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxNesting is how many indexes may be in each other.
const maxNesting = 8

// nesting is how deep the indexes of an image are in each other.
type nesting struct {
	mu    sync.Mutex
	depth map[digest.Digest]int // guarded by mu
}

// enter tells of the parts of an index, one below it.
func (n *nesting) enter(parent ocispec.Descriptor, parts []ocispec.Descriptor) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.depth == nil {
		n.depth = map[digest.Digest]int{}
	}
	for _, part := range parts {
		n.depth[part.Digest] = max(n.depth[part.Digest], n.depth[parent.Digest]+1)
	}
}

func (n *nesting) of(d digest.Digest) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.depth[d]
}

// Limit refuses the parts of an image that no sound image has: documents that
// are too large to be read, and indexes in indexes without end. Nor does it let
// an image choose where podd fetches a layer from.
func (v *Visit) Limit(h images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		index := images.IsIndexType(d.MediaType)
		if document := index || images.IsManifestType(d.MediaType) || images.IsConfigType(d.MediaType); document && d.Size > maxDocument {
			return nil, fmt.Errorf("%s %s has %d bytes, %d are allowed", d.MediaType, d.Digest, d.Size, maxDocument)
		}
		if index && v.nesting.of(d.Digest) >= maxNesting {
			return nil, fmt.Errorf("the index %s is deeper than the %d levels that are allowed", d.Digest, maxNesting)
		}
		d.URLs = nil // where a layer is, is not for the image to say
		parts, err := h.Handle(ctx, d)
		if index && err == nil {
			v.nesting.enter(d, parts)
		}
		return parts, err
	})
}
