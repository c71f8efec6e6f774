package runtime

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/layer"
)

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// blob tells whether content is here and is what its digest says.
func (v *verification) blob(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	return v.read(ctx, d, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
}

// read passes content to use, which need not read it to its end, and tells
// whether it was here and what its digest says. What use says of content that
// is not, is dropped.
func (v *verification) read(ctx context.Context, d ocispec.Descriptor, use func(io.Reader) error) (bool, error) {
	ra, err := v.cd.ContentStore().ReaderAt(ctx, d)
	if errdefs.IsNotFound(err) {
		v.lost("content %s is missing", d.Digest)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer ra.Close()
	verifier := d.Digest.Verifier()
	r := io.TeeReader(&limitedBy{ctx, content.NewReader(ra)}, verifier)
	used := use(r)
	if _, err := io.Copy(io.Discard, r); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		v.lost("content %s can't be read: %v", d.Digest, err)
		v.bad = append(v.bad, d.Digest)
		return false, nil
	}
	if !verifier.Verified() || ra.Size() != d.Size {
		v.lost("content %s is not what its digest says", d.Digest)
		v.bad = append(v.bad, d.Digest)
		return false, nil
	}
	return true, used
}

// limitedBy ends reading with a context.
type limitedBy struct {
	ctx context.Context
	io.Reader
}

func (l *limitedBy) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.Reader.Read(p)
}

// layer looks at a layer's content and what is unpacked of it.
func (v *verification) layer(ctx context.Context, desc ocispec.Descriptor, chain digest.Digest) error {
	v.trust.turn.Lock()
	defer v.trust.turn.Unlock()
	if v.once && v.trust.sound[chain] {
		return nil
	}
	dir, parents, err := v.unpacked(ctx, chain)
	if err != nil {
		return err
	}
	var differences []string
	ok, err := v.read(ctx, desc, func(r io.Reader) (err error) {
		if dir == "" {
			return nil
		}
		plain, err := compression.DecompressStream(r)
		if err != nil {
			return err
		}
		defer plain.Close()
		differences, err = layer.Compare(plain, dir)
		return err
	})
	if err != nil || !ok {
		return err
	}
	if len(differences) > 0 {
		return v.mend(ctx, desc, chain, dir, parents, differences)
	}
	v.trust.sound[chain] = true
	return nil
}

// maxFindings is how many differences of a layer are told one by one.
const maxFindings = 5

// mend unpacks a layer anew, unless something runs on it.
func (v *verification) mend(ctx context.Context, desc ocispec.Descriptor, chain digest.Digest, dir string, parents, differences []string) error {
	for n, line := range differences {
		if n == maxFindings {
			v.found("and %d more", len(differences)-n)
			break
		}
		v.found("layer %s: %s", desc.Digest.Encoded()[:shortID], line)
	}
	if !v.repair {
		v.worse(pod.ImageDamaged)
		return nil
	}
	users, err := v.usersOf(ctx, chain)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		v.found("it can't be unpacked anew while %s runs", strings.Join(users, ", "))
		v.worse(pod.ImageDamaged)
		return nil
	}
	_, err = v.read(ctx, desc, func(r io.Reader) error {
		plain, err := compression.DecompressStream(r)
		if err != nil {
			return err
		}
		defer plain.Close()
		return layer.Rebuild(ctx, plain, dir, parents)
	})
	if err != nil {
		return fmt.Errorf("unpack layer %s anew: %w", desc.Digest, err)
	}
	v.worse(pod.ImageRepaired)
	v.trust.sound[chain] = true
	return nil
}

// worse keeps the worst that was found.
func (v *verification) worse(s pod.ImageState) { v.check.State = max(v.check.State, s) }

// unpacked is where a layer is unpacked to, and the layers below it, the
// nearest first; empty when it is not.
func (c *Client) unpacked(ctx context.Context, chain digest.Digest) (dir string, parents []string, err error) {
	snapshots := c.cd.SnapshotService(c.cfg.Snapshotter)
	key := "podd-verify-" + chain.Encoded()
	if err := snapshots.Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) { // of an interrupted one
		return "", nil, err
	}
	mounts, err := snapshots.View(ctx, key, chain.String())
	if errdefs.IsNotFound(err) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	dirs, err := lowerDirs(mounts)
	if err := snapshots.Remove(context.WithoutCancel(ctx), key); err != nil {
		return "", nil, err
	}
	if err != nil {
		return "", nil, err
	}
	return dirs[0], dirs[1:], nil
}

// lowerDirs are the directories of a read-only view, the top one first.
func lowerDirs(mounts []mount.Mount) ([]string, error) {
	if len(mounts) == 1 && mounts[0].Type == "bind" {
		return []string{mounts[0].Source}, nil
	}
	if len(mounts) == 1 && mounts[0].Type == "overlay" {
		for _, o := range mounts[0].Options {
			if dirs, ok := strings.CutPrefix(o, "lowerdir="); ok {
				return strings.Split(dirs, ":"), nil
			}
		}
	}
	return nil, fmt.Errorf("the snapshotter's mounts are not of overlayfs: %v", mounts)
}

// usersOf names the running containers whose file system is on a layer.
func (c *Client) usersOf(ctx context.Context, chain digest.Digest) ([]string, error) {
	recs, err := c.cd.ContainerService().List(ctx)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, rec := range recs {
		proc, err := c.process(ctx, rec.ID)
		if err != nil {
			return nil, err
		}
		if proc == nil || state(proc) == pod.Exited {
			continue
		}
		on, err := c.standsOn(ctx, rec.SnapshotKey, chain)
		if err != nil {
			return nil, err
		}
		if on {
			users = append(users, fmt.Sprintf("container %s of pod %s/%s",
				rec.Labels[LabelContainerName], rec.Labels[LabelPodNamespace], rec.Labels[LabelPodName]))
		}
	}
	return users, nil
}

func (c *Client) standsOn(ctx context.Context, key string, chain digest.Digest) (bool, error) {
	snapshots := c.cd.SnapshotService(c.cfg.Snapshotter)
	for key != "" && key != chain.String() {
		info, err := snapshots.Stat(ctx, key)
		if errdefs.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		key = info.Parent
	}
	return key != "", nil
}
