package runtime

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

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
		config, err := img.Config(ctx)
		if err != nil {
			continue // for another platform, or being fetched
		}
		id := config.Digest.String()
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
// images and pins them. An archive that does not arrive whole leaves nothing
// behind.
func (i Images) Import(ctx context.Context, archive io.Reader, name string) ([]pod.StoredImage, error) {
	ctx, release, err := i.Protect(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	plain, err := compression.DecompressStream(archive)
	if err != nil {
		return nil, badArchive(err)
	}
	defer plain.Close()
	opts := []containerd.ImportOpt{
		containerd.WithImageRefTranslator(archiveName),
		containerd.WithImageLabels(map[string]string{labelPinned: "pinned", labelImported: "true"}),
	}
	if name != "" {
		full, err := Normalize(name)
		if err != nil {
			return nil, err
		}
		opts = append(opts, containerd.WithDigestRef(func(digest.Digest) string { return full }))
	}
	got, err := i.cd.Import(ctx, plain, opts...)
	if err != nil {
		return nil, badArchive(err)
	}
	if len(got) == 0 {
		return nil, badArchive(fmt.Errorf("it names no image; give a name"))
	}
	return i.unpack(ctx, got)
}

func badArchive(err error) error {
	return &pod.Failure{Kind: pod.Permanent, Message: fmt.Sprintf("import image archive: %v", err)}
}

// archiveName normalises a name found in an archive; one that is no name is
// left out.
func archiveName(ref string) string {
	full, err := Normalize(ref)
	if err != nil {
		return ""
	}
	return full
}

// unpack unpacks imported images; if one can't be, none stays.
func (i Images) unpack(ctx context.Context, imported []images.Image) ([]pod.StoredImage, error) {
	out := make([]pod.StoredImage, 0, len(imported))
	for _, meta := range imported {
		img := containerd.NewImage(i.cd, meta)
		stored, err := i.unpackOne(ctx, img)
		if err != nil {
			for _, m := range imported {
				_ = i.cd.ImageService().Delete(ctx, m.Name)
			}
			return nil, badArchive(err)
		}
		out = append(out, stored)
	}
	return out, nil
}

func (i Images) unpackOne(ctx context.Context, img containerd.Image) (pod.StoredImage, error) {
	if err := img.Unpack(ctx, i.cfg.Snapshotter); err != nil {
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

// Remove removes an image's name, or all names of an image given by id.
func (i Images) Remove(ctx context.Context, name string) ([]string, error) {
	ctx = i.Context(ctx)
	names, err := i.namesOf(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		err := i.cd.ImageService().Delete(ctx, n, images.SynchronousDelete())
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, Failure(fmt.Errorf("remove image %s: %w", n, err), "")
		}
	}
	return names, nil
}

func (i Images) namesOf(ctx context.Context, name string) ([]string, error) {
	if full, err := Normalize(name); err == nil {
		if _, err := i.cd.GetImage(ctx, full); err == nil {
			return []string{full}, nil
		}
	}
	all, err := i.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, img := range all {
		if id := strings.TrimPrefix(img.ID, "sha256:"); img.ID == name || len(name) >= 12 && strings.HasPrefix(id, name) {
			return img.Names, nil
		}
	}
	return nil, &pod.Failure{Kind: pod.NotFound, Message: fmt.Sprintf("image %q is not here", name)}
}
