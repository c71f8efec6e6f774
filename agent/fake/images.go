package fake

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/podd-io/podd/pod"
)

// Images implements agent.Images and agent.ImageStore.
type Images struct{ s *Session }

// pullTime bounds a pull, which is the port's affair.
const pullTime = time.Hour

// Pull implements agent.Images.
func (x Images) Pull(ctx context.Context, cfg pod.PullConfig) (img pod.Pulled, err error) {
	w := x.s.world
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	err = x.s.effect(ctx, pod.PullImage, "", "", func() error {
		found := w.registry[cfg.Ref]
		if found == nil {
			return &pod.Failure{Kind: pod.NotFound, Reason: "ErrImagePull", Message: fmt.Sprintf("%s: not found", cfg.Ref)}
		}
		w.images[cfg.Ref] = found
		img = pod.Pulled{Image: found.Image, Size: imageSize}
		return nil
	})
	return img, err
}

// List implements agent.ImageStore.
func (x Images) List(context.Context) ([]pod.StoredImage, error) {
	w := x.s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []pod.StoredImage
	for ref, img := range w.images {
		all = append(all, pod.StoredImage{ID: img.ID, Names: []string{ref}})
	}
	slices.SortFunc(all, func(a, b pod.StoredImage) int { return strings.Compare(a.Names[0], b.Names[0]) })
	return all, nil
}

// Import implements agent.ImageStore. An archive is the references of its
// images, a line each.
func (x Images) Import(_ context.Context, archive io.Reader, name string) ([]pod.StoredImage, error) {
	var refs []string
	lines := bufio.NewScanner(archive)
	for lines.Scan() {
		refs = append(refs, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	if len(refs) == 0 && name != "" {
		refs = []string{name}
	}
	w := x.s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []pod.StoredImage
	for _, ref := range refs {
		img := w.registry[ref]
		if img == nil {
			img = &Image{Image: pod.Image{ID: ref + "@sha256:1"}}
		}
		w.images[ref] = img
		all = append(all, pod.StoredImage{ID: img.ID, Names: []string{ref}, Pinned: true})
	}
	return all, nil
}

// Pulling implements agent.ImageStore: half of it is always there.
func (x Images) Pulling(_ context.Context, ref string) (done, total int64, err error) {
	return int64(len(ref)), 2 * int64(len(ref)), nil
}

// Remove implements agent.ImageStore.
func (x Images) Remove(_ context.Context, name string, needed map[string]string) ([]string, error) {
	w := x.s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	var gone []string
	for ref, img := range w.images {
		if ref != name && img.ID != name {
			continue
		}
		if who := needed[ref]; who != "" {
			return nil, &pod.Failure{Kind: pod.Conflict, Message: fmt.Sprintf("pod %s needs image %s", who, ref)}
		}
		gone = append(gone, ref)
	}
	if len(gone) == 0 {
		return nil, &pod.Failure{Kind: pod.NotFound, Message: fmt.Sprintf("image %s: not found", name)}
	}
	for _, ref := range gone {
		delete(w.images, ref)
		w.imageDisk.Available += imageSize
	}
	return gone, nil
}

// Unneeded implements agent.ImageStore. Nothing here is pinned.
func (x Images) Unneeded(ctx context.Context, needed map[string]string) ([]pod.StoredImage, error) {
	all, err := x.List(ctx)
	return slices.DeleteFunc(all, func(img pod.StoredImage) bool { return needed[img.Names[0]] != "" }), err
}

// Verify implements agent.ImageStore: all is sound.
func (x Images) Verify(ctx context.Context, names []string, _ bool, tell func(pod.ImageCheck) error) error {
	all, err := x.List(ctx)
	if err != nil {
		return err
	}
	for _, img := range all {
		if len(names) > 0 && !slices.Contains(names, img.Names[0]) {
			continue
		}
		if err := tell(pod.ImageCheck{Names: img.Names}); err != nil {
			return err
		}
	}
	return nil
}
