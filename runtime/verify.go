package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"

	"github.com/podd-io/podd/pod"
)

// labelDamaged marks an image whose content is lost: it counts as not being
// here until it is pulled or imported anew, which replaces the label.
const labelDamaged = "podd.io/damaged"

// trust is what podd knows of its store's soundness.
type trust struct {
	// doubted: the last stop was not a clean one, so that no image is used
	// before it was looked at.
	doubted atomic.Bool
	// turn is had by who looks at, or mends, one layer.
	turn sync.Mutex
	// sound are the chain ids of the layers that were looked at, well, since
	// podd started; guarded by turn.
	sound map[digest.Digest]bool
}

// Doubt has every image looked at before a container is made of it. It is
// called before Adopt when podd, or the machine, was not stopped in order.
func (c *Client) Doubt() { c.trust.doubted.Store(true) }

// Verify holds images against their digests, and what is unpacked of them
// against their layers: all there are, or those of some names. With repair it
// unpacks damaged layers anew, and has an image whose content itself is damaged
// count as not being here. tell is called with each image in turn; its error
// ends the verification.
func (i Images) Verify(ctx context.Context, names []string, repair bool, tell func(pod.ImageCheck) error) error {
	all, err := i.cd.ImageService().List(i.Context(ctx))
	if err != nil {
		return Failure(fmt.Errorf("list images: %w", err), "")
	}
	wanted, err := i.chosen(ctx, names)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(img images.Image) bool { return wanted != nil && !slices.Contains(wanted, img.Name) })
	return i.verifyAll(ctx, all, verifying{repair: repair}, tell)
}

// VerifyOnce looks at, and mends, every image that was not looked at since podd
// started: it is for the start after an unclean stop.
func (i Images) VerifyOnce(ctx context.Context) error {
	all, err := i.cd.ImageService().List(i.Context(ctx))
	if err != nil {
		return Failure(fmt.Errorf("list images: %w", err), "")
	}
	return i.verifyAll(ctx, all, verifying{repair: true, once: true}, func(pod.ImageCheck) error { return nil })
}

// verifyAll goes through images by name, those of the same content together.
func (i Images) verifyAll(ctx context.Context, all []images.Image, how verifying, tell func(pod.ImageCheck) error) error {
	byTarget := map[digest.Digest][]images.Image{}
	for _, img := range all {
		byTarget[img.Target.Digest] = append(byTarget[img.Target.Digest], img)
	}
	groups := slices.SortedFunc(maps.Values(byTarget), func(a, b []images.Image) int { return strings.Compare(a[0].Name, b[0].Name) })
	for _, recs := range groups {
		check, err := i.verify(ctx, recs, how)
		if err != nil {
			return Failure(fmt.Errorf("verify image %s: %w", recs[0].Name, err), "")
		}
		if err := tell(check); err != nil {
			return err
		}
	}
	return nil
}

// chosen are the records of some names; nil for all when none is given.
func (i Images) chosen(ctx context.Context, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		found, err := i.namesOf(i.Context(ctx), name)
		if err != nil {
			return nil, Failure(err, "")
		}
		out = append(out, found...)
	}
	return out, nil
}

// assure has an image looked at, and mended, before it is first used after an
// unclean stop.
func (c *Client) assure(ctx context.Context, img containerd.Image) error {
	if !c.trust.doubted.Load() {
		return nil
	}
	check, err := c.verify(ctx, []images.Image{img.Metadata()}, verifying{repair: true, once: true})
	if err != nil {
		return err
	}
	if check.State == pod.ImageLost {
		return &pod.Failure{Kind: pod.Transient, Reason: "CreateContainerError",
			Message: fmt.Sprintf("image %q is damaged and has to be fetched anew: %s", img.Name(), strings.Join(check.Findings, "; "))}
	}
	return nil
}

// verifying is how to.
type verifying struct {
	repair bool
	// once: what was found sound since podd started is not looked at again.
	once bool
}

// verify looks at one image, which may have several names.
func (c *Client) verify(ctx context.Context, recs []images.Image, how verifying) (pod.ImageCheck, error) {
	ctx, release, err := c.Protect(ctx)
	if err != nil {
		return pod.ImageCheck{}, err
	}
	defer release()
	v := &verification{Client: c, verifying: how, img: containerd.NewImage(c.cd, recs[0])}
	for _, rec := range recs {
		v.check.Names = append(v.check.Names, rec.Name)
		if rec.Labels[labelDamaged] != "" {
			v.lost("its content is damaged since %s", rec.Labels[labelDamaged])
		}
	}
	if v.check.State != pod.ImageLost {
		err = v.run(ctx)
	}
	if err == nil && v.check.State == pod.ImageLost && how.repair {
		err = c.giveUp(ctx, recs, v.bad)
	}
	c.report(v.check)
	return v.check, err
}

// report logs what was found.
func (c *Client) report(check pod.ImageCheck) {
	fields := []zap.Field{zap.Strings("image", check.Names), zap.Strings("found", check.Findings)}
	switch check.State {
	case pod.ImageSound:
	case pod.ImageRepaired:
		c.log.Warn("an image was damaged on disk; it is unpacked anew", fields...)
	case pod.ImageDamaged:
		c.log.Warn("an image is damaged on disk; it is used all the same, or can't be mended while it is", fields...)
	case pod.ImageLost:
		c.log.Error("an image's content is damaged; it has to be pulled or imported anew before a container can use it", fields...)
	}
	if c.cfg.Checked != nil && check.State != pod.ImageSound {
		c.cfg.Checked(check)
	}
}

// verification is one image's.
type verification struct {
	*Client
	verifying
	img   containerd.Image
	check pod.ImageCheck
	// bad are the contents that are not what their digests say.
	bad []digest.Digest
}

func (v *verification) found(format string, args ...any) {
	v.check.Findings = append(v.check.Findings, fmt.Sprintf(format, args...))
}

func (v *verification) lost(format string, args ...any) {
	v.found(format, args...)
	v.check.State = pod.ImageLost
}

// run goes from the image's name down to its layers. Each step needs the one
// before.
func (v *verification) run(ctx context.Context) error {
	if ok, err := v.blob(ctx, v.img.Target()); !ok || err != nil {
		return err
	}
	manifest, err := images.Manifest(ctx, v.cd.ContentStore(), v.img.Target(), v.img.Platform())
	if errdefs.IsNotFound(err) && images.IsIndexType(v.img.Target().MediaType) {
		return v.foreign(ctx)
	}
	if err != nil {
		v.lost("its manifest can't be read: %v", err)
		return nil
	}
	if ok, err := v.blob(ctx, manifest.Config); !ok || err != nil {
		return err
	}
	diffIDs, err := v.img.RootFS(ctx)
	if err != nil {
		v.lost("its configuration can't be read: %v", err)
		return nil
	}
	layers := slices.DeleteFunc(slices.Clone(manifest.Layers), func(d ocispec.Descriptor) bool { return !images.IsLayerType(d.MediaType) })
	if len(layers) != len(diffIDs) {
		v.lost("it has %d layers, and the configuration tells of %d", len(layers), len(diffIDs))
		return nil
	}
	for n, desc := range layers {
		if err := v.layer(ctx, desc, identity.ChainID(slices.Clone(diffIDs[:n+1]))); err != nil {
			return err
		}
	}
	return nil
}

// foreign is for an image that was pulled for other platforms than the host's:
// what is here of it is looked at.
func (v *verification) foreign(ctx context.Context) error {
	store := v.cd.ContentStore()
	return images.Walk(ctx, images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		if _, err := store.Info(ctx, d.Digest); errdefs.IsNotFound(err) {
			return nil, images.ErrSkipDesc
		}
		if ok, err := v.blob(ctx, d); !ok || err != nil {
			return nil, err
		}
		return images.Children(ctx, store, d)
	}), v.img.Target())
}

// giveUp removes content that is bad, and has the images that need it count as
// not being here.
func (c *Client) giveUp(ctx context.Context, recs []images.Image, bad []digest.Digest) error {
	for _, rec := range recs {
		c.forgetImage(rec.Name)
		if rec.Labels[labelDamaged] != "" {
			continue
		}
		labels := maps.Clone(rec.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		labels[labelDamaged] = now()
		rec.Labels = labels
		_, err := c.cd.ImageService().Update(ctx, rec, "labels."+labelDamaged)
		if err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	for _, d := range bad {
		if err := c.cd.ContentStore().Delete(ctx, d); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return c.collectGarbage(ctx)
}
