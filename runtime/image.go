package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/sys/signal"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

const (
	// labelPinned keeps an image from collection; it is the label containerd's
	// own tools know.
	labelPinned = "io.cri-containerd.pinned"
	// labelImported marks an image that came from an archive: it has no digest
	// that a registry would know it by.
	labelImported = "podd.io/imported"
)

// Normalize gives the full name of an image as Docker does: "busybox" is
// "docker.io/library/busybox:latest".
func Normalize(ref string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", &pod.Failure{
			Kind: pod.Permanent, Reason: "InvalidImageName",
			Message: fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: %v", ref, ref, err),
		}
	}
	return named.String(), nil
}

// Images are the images in containerd, fetched, imported and removed.
type Images struct{ *Client }

// Pull fetches and unpacks an image. Pulls of one reference share a transfer;
// it goes on while one of them waits for it.
func (i Images) Pull(ctx context.Context, cfg pod.PullConfig) (pod.Image, error) {
	name, err := Normalize(cfg.Ref)
	if err != nil {
		return pod.Image{}, err
	}
	if cfg.Policy == corev1.PullNever {
		return pod.Image{}, &pod.Failure{
			Kind: pod.Permanent, Reason: "ErrImageNeverPull",
			Message: fmt.Sprintf("Container image %q is not present with pull policy of Never", cfg.Ref),
		}
	}
	done := i.pulls.DoChan(name, func() (any, error) { return i.fetch(ctx, name, cfg.Secrets) })
	select {
	case <-ctx.Done():
		return pod.Image{}, Failure(ctx.Err(), "ErrImagePull")
	case r := <-done:
		if r.Shared && errors.Is(r.Err, context.Canceled) && ctx.Err() == nil {
			return i.Pull(ctx, cfg) // who led the transfer went away; lead it ourselves
		}
		if r.Err != nil {
			return pod.Image{}, pullFailure(cfg.Ref, r.Err)
		}
		return r.Val.(pod.Image), nil
	}
}

func (i Images) fetch(ctx context.Context, name string, secrets [][]byte) (pod.Image, error) {
	if err := i.slots.Acquire(ctx, 1); err != nil {
		return pod.Image{}, err
	}
	defer i.slots.Release(1)
	hosts, err := i.registryHosts(ctx, secrets)
	if err != nil {
		return pod.Image{}, err
	}
	img, err := i.cd.Pull(i.Context(ctx), name,
		containerd.WithPullUnpack,
		containerd.WithPullSnapshotter(i.cfg.Snapshotter),
		containerd.WithResolver(docker.NewResolver(docker.ResolverOptions{Hosts: hosts})))
	if err != nil {
		return pod.Image{}, err
	}
	return i.describe(ctx, img)
}

func pullFailure(ref string, err error) error {
	kind := kindOf(err)
	return &pod.Failure{
		Kind: kind, Reason: "ErrImagePull",
		Message: fmt.Sprintf("failed to pull image %q: %s", ref, trimRuntime(err.Error())),
	}
}

// find looks an image up by the reference as a pod writes it. It is nil when
// it isn't here.
func (c *Client) find(ctx context.Context, ref string) (containerd.Image, error) {
	name, err := Normalize(ref)
	if err != nil {
		return nil, nil // pulling it will say what is wrong with the name
	}
	img, err := c.cd.GetImage(c.Context(ctx), name)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	return img, err
}

// describe tells of an image what the core wants to know. An image whose
// content is damaged or not unpacked for this platform counts as an error.
func (c *Client) describe(ctx context.Context, img containerd.Image) (pod.Image, error) {
	ctx = c.Context(ctx)
	config, err := img.Config(ctx)
	if err != nil {
		return pod.Image{}, fmt.Errorf("read image %s: %w", img.Name(), err)
	}
	spec, err := img.Spec(ctx)
	if err != nil {
		return pod.Image{}, fmt.Errorf("read the configuration of image %s: %w", img.Name(), err)
	}
	// An image without a stop signal, or with one that there is not, is ended
	// by TERM, as in containerd's CRI.
	stop, _ := signal.ParseSignal(spec.Config.StopSignal)
	return pod.Image{ID: imageID(img, config), User: spec.Config.User, StopSignal: stop}, nil
}

// imageID is as a kubelet reports it: name@digest of what a registry served,
// else the digest of the configuration.
func imageID(img containerd.Image, config ocispec.Descriptor) string {
	if img.Labels()[labelImported] != "" {
		return config.Digest.String()
	}
	repo, _, _ := strings.Cut(img.Name(), "@")
	if named, err := reference.ParseNormalizedNamed(repo); err == nil {
		repo = named.Name()
	}
	return repo + "@" + img.Target().Digest.String()
}
