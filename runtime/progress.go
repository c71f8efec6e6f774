package runtime

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// progress is what a transfer knows of its image's parts.
type progress struct {
	mu    sync.Mutex
	parts map[digest.Digest]ocispec.Descriptor // guarded by mu
	// begun is set once the transfer has its turn; before is what the name led
	// to then, empty for nothing. Both are guarded by mu.
	begun  bool
	before digest.Digest
}

// begin notes what the name led to before the transfer.
func (p *progress) begin(before digest.Digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun, p.before = true, before
}

// making tells whether what a name leads to now is this transfer's, which is
// not through: it has its name before it is unpacked.
func (p *progress) making(now digest.Digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun && now != p.before
}

// watch has a handler of an image's parts tell of them.
func (p *progress) watch(h images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		p.add(d)
		children, err := h.Handle(ctx, d)
		p.add(children...)
		return children, err
	})
}

func (p *progress) add(parts ...ocispec.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parts == nil {
		p.parts = map[digest.Digest]ocispec.Descriptor{}
	}
	for _, d := range parts {
		p.parts[d.Digest] = d
	}
}

// bytes counts what is there and what there will be, as far as it is known.
func (p *progress) bytes(ctx context.Context, store content.Store) (done, total int64, err error) {
	statuses, err := store.ListStatuses(ctx)
	if err != nil {
		return 0, 0, err
	}
	coming := map[string]int64{}
	for _, st := range statuses {
		coming[st.Ref] = st.Offset
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.parts {
		total += d.Size
		if n, ok := coming[remotes.MakeRefKey(ctx, d)]; ok {
			done += n
		} else if _, err := store.Info(ctx, d.Digest); err == nil {
			done += d.Size
		}
	}
	return done, total, nil
}

// Pulling tells how far the transfer of an image is, in bytes; total is 0 while
// it is not known, and when there is none. It grows as more of the image is.
func (i Images) Pulling(ctx context.Context, ref string) (done, total int64, err error) {
	name, err := Normalize(ref)
	if err != nil {
		return 0, 0, err
	}
	p := i.pulls.progressOf(name)
	if p == nil {
		return 0, 0, nil
	}
	done, total, err = p.bytes(i.Context(ctx), i.cd.ContentStore())
	return done, total, Failure(err, "")
}
