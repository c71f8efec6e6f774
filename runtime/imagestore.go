package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"github.com/podd-io/podd/pod"
)

// List tells which images are here, one entry an image, its names together.
func (i Images) List(ctx context.Context) ([]pod.StoredImage, error) {
	ctx = i.Context(ctx)
	imgs, err := i.cd.ListImages(ctx)
	if err != nil {
		return nil, Failure(err, "")
	}
	byID := map[string]*pod.StoredImage{}
	for _, img := range imgs {
		id := idOf(ctx, img).String()
		if byID[id] == nil {
			size, _ := img.Size(ctx)
			byID[id] = &pod.StoredImage{ID: id, Size: size, CreatedAt: img.Metadata().CreatedAt}
		}
		addName(byID[id], img)
	}
	out := make([]pod.StoredImage, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, *byID[id])
	}
	return out, nil
}

// idOf is the digest of an image's configuration, or, of one that has none for
// this platform or has lost it, of what its name leads to.
func idOf(ctx context.Context, img containerd.Image) digest.Digest {
	config, err := img.Config(ctx)
	if err != nil {
		return img.Target().Digest
	}
	return config.Digest
}

func addName(s *pod.StoredImage, img containerd.Image) {
	if strings.Contains(img.Name(), "@") {
		s.Digests = append(s.Digests, img.Name())
	} else {
		s.Names = append(s.Names, img.Name())
		if img.Labels()[labelImported] == "" {
			repo := img.Name()[:strings.LastIndex(img.Name(), ":")]
			s.Digests = append(s.Digests, repo+"@"+img.Target().Digest.String())
		}
	}
	s.Pinned = s.Pinned || img.Labels()[labelPinned] != ""
}

// Import loads an OCI or Docker archive, plain or compressed, unpacks its
// images and pins them. name is for images that have none in the archive. An
// archive that does not arrive whole leaves nothing behind.
func (i Images) Import(ctx context.Context, archive io.Reader, name string) ([]pod.StoredImage, error) {
	return i.importAs(ctx, archive, name, map[string]string{labelByHand: "true"})
}

// importAs imports with labels that say why the images are pinned.
func (i Images) importAs(ctx context.Context, archive io.Reader, name string, why map[string]string) ([]pod.StoredImage, error) {
	opts, err := importOptions(name, why)
	if err != nil {
		return nil, err
	}
	leased, release, err := i.Protect(ctx)
	if err != nil {
		return nil, err
	}
	pins, err := i.pins(leased)
	if err != nil {
		return nil, err
	}
	out, err := i.load(leased, archive, opts)
	if err == nil {
		err = i.restorePins(leased, out, pins)
	}
	if err != nil {
		i.collect(leased)
	}
	release()
	return out, err
}

func importOptions(name string, why map[string]string) ([]containerd.ImportOpt, error) {
	labels := map[string]string{labelPinned: "pinned", labelImported: "true"}
	maps.Copy(labels, why)
	opts := []containerd.ImportOpt{
		containerd.WithImageRefTranslator(archiveName),
		containerd.WithImageLabels(labels),
		containerd.WithSkipMissing(), // an index of many platforms of which the archive has some
	}
	if name == "" {
		return opts, nil
	}
	full, err := Normalize(name)
	if err != nil {
		return nil, err
	}
	return append(opts,
		containerd.WithDigestRef(func(digest.Digest) string { return full }),
		containerd.WithSkipDigestRef(func(found string) bool { return found != "" })), nil
}

// archiveName normalises what an OCI archive calls an image. What is no full
// name, such as a bare tag, counts as none.
func archiveName(ref string) string {
	full, err := Normalize(ref)
	if err != nil || !strings.ContainsAny(ref, "/:@") {
		return ""
	}
	return full
}

func (i Images) load(ctx context.Context, archive io.Reader, opts []containerd.ImportOpt) ([]pod.StoredImage, error) {
	plain, err := compression.DecompressStream(archive)
	if err != nil {
		return nil, importFailure(ctx, err)
	}
	defer plain.Close()
	got, err := i.cd.Import(ctx, plain, opts...)
	if err != nil {
		return nil, importFailure(ctx, err)
	}
	if len(got) == 0 {
		return nil, importFailure(ctx, errors.New("it names no image; give a name"))
	}
	return i.unpack(ctx, got)
}

// importFailure is permanent if the archive is to blame.
func importFailure(ctx context.Context, err error) error {
	kind := pod.Permanent
	if ctx.Err() != nil || errdefs.IsUnavailable(err) {
		kind = pod.Transient
	}
	return &pod.Failure{Kind: kind, Message: fmt.Sprintf("import image archive: %v", err)}
}

// collect ends the lease of a failed import and waits until containerd has
// removed what it held.
func (i Images) collect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	id, ok := leases.FromContext(ctx)
	if !ok {
		return
	}
	err := i.cd.LeasesService().Delete(ctx, leases.Lease{ID: id}, leases.SynchronousDelete)
	if err != nil {
		i.log.Warn("could not remove what a failed import left; containerd does in time", zap.Error(err))
	}
}

// unpack unpacks imported images; if one can't be, none stays.
func (i Images) unpack(ctx context.Context, imported []images.Image) ([]pod.StoredImage, error) {
	out := make([]pod.StoredImage, 0, len(imported))
	for _, meta := range imported {
		stored, err := i.unpackOne(ctx, containerd.NewImage(i.cd, meta))
		if err != nil {
			i.discard(ctx, imported)
			return nil, importFailure(ctx, err)
		}
		out = append(out, stored)
	}
	return out, nil
}

func (i Images) discard(ctx context.Context, imported []images.Image) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	for _, meta := range imported {
		if err := i.cd.ImageService().Delete(ctx, meta.Name); err != nil && !errdefs.IsNotFound(err) {
			i.log.Warn("could not remove an image that can't be unpacked", zap.String("image", meta.Name), zap.Error(err))
		}
	}
}

func (i Images) unpackOne(ctx context.Context, img containerd.Image) (pod.StoredImage, error) {
	if err := img.Unpack(ctx, i.cfg.Snapshotter, durably); err != nil {
		return pod.StoredImage{}, fmt.Errorf("unpack %s: %w", img.Name(), err)
	}
	config, err := img.Config(ctx)
	if err != nil {
		return pod.StoredImage{}, err
	}
	size, err := img.Size(ctx)
	if err != nil {
		return pod.StoredImage{}, err
	}
	stored := pod.StoredImage{ID: config.Digest.String(), Size: size, CreatedAt: img.Metadata().CreatedAt}
	addName(&stored, img)
	return stored, nil
}

// Remove removes an image's name, or all names of an image given by id, unless
// one of the references in needed, each with who needs it, leads to one of
// them.
func (i Images) Remove(ctx context.Context, name string, needed map[string]string) ([]string, error) {
	ctx = i.Context(ctx)
	names, err := i.namesOf(ctx, name)
	if err != nil {
		return nil, Failure(err, "")
	}
	who := normalized(needed)
	for _, n := range names {
		if who[n] != "" {
			return nil, &pod.Failure{Kind: pod.Conflict, Message: fmt.Sprintf("pod %s needs image %s", who[n], n)}
		}
	}
	for _, n := range names {
		err := i.cd.ImageService().Delete(ctx, n, images.SynchronousDelete())
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, Failure(fmt.Errorf("remove image %s: %w", n, err), "")
		}
		i.forgetImage(n)
	}
	return names, nil
}

// normalized has the full names of references for keys; what is none leads to
// no image.
func normalized(needed map[string]string) map[string]string {
	full := make(map[string]string, len(needed))
	for ref, who := range needed {
		if name, err := Normalize(ref); err == nil {
			full[name] = who
		}
	}
	return full
}

// Unneeded lists the images that are not pinned, that no container was made
// from, that are not being fetched, and that none of the references leads to.
func (i Images) Unneeded(ctx context.Context, needed map[string]string) ([]pod.StoredImage, error) {
	who := normalized(needed)
	recs, err := i.cd.ContainerService().List(i.Context(ctx))
	if err != nil {
		return nil, Failure(fmt.Errorf("list containers: %w", err), "")
	}
	for _, rec := range recs {
		who[rec.Image] = rec.ID
	}
	all, err := i.List(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(img pod.StoredImage) bool {
		return img.Pinned || slices.ContainsFunc(slices.Concat(img.Names, img.Digests), func(name string) bool {
			return who[name] != "" || i.pulls.progressOf(name) != nil
		})
	}), nil
}

// namesOf are the records that a name, an id or the beginning of one leads to.
func (i Images) namesOf(ctx context.Context, name string) ([]string, error) {
	if full, err := Normalize(name); err == nil {
		if _, err := i.cd.GetImage(ctx, full); err == nil {
			return []string{full}, nil
		}
	}
	all, err := i.cd.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	ids := map[string]bool{}
	for _, img := range all {
		id := idOf(ctx, img)
		if idFits(id, name) {
			ids[id.String()] = true
			names = append(names, img.Name())
		}
	}
	switch len(ids) {
	case 0:
		return nil, &pod.Failure{Kind: pod.NotFound, Message: fmt.Sprintf("image %q is not here", name)}
	case 1:
		return names, nil
	}
	return nil, &pod.Failure{Kind: pod.Conflict, Message: fmt.Sprintf("%q is the beginning of %d image ids", name, len(ids))}
}

// shortID is how much of an id has to be given.
const shortID = 12

func idFits(id digest.Digest, given string) bool {
	return id.String() == given || len(given) >= shortID && strings.HasPrefix(id.Encoded(), strings.TrimPrefix(given, "sha256:"))
}
