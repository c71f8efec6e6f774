package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/sys/signal"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/registry"
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

// Pull fetches and unpacks an image. Pulls of one reference with the same
// secrets at the same time share a transfer, which goes on as long as one of
// them waits for it.
func (i Images) Pull(ctx context.Context, cfg pod.PullConfig) (pod.Pulled, error) {
	name, err := Normalize(cfg.Ref)
	if err != nil {
		return pod.Pulled{}, err
	}
	platform, err := platformOf(cfg.Platform)
	if err != nil {
		return pod.Pulled{}, err
	}
	if cfg.Policy == corev1.PullNever {
		return pod.Pulled{}, &pod.Failure{
			Kind: pod.Permanent, Reason: "ErrImageNeverPull",
			Message: fmt.Sprintf("Container image %q is not present with pull policy of Never", cfg.Ref),
		}
	}
	key := flightOf(name, platform, cfg.Secrets)
	img, err := i.pulls.join(ctx, key, cfg.Priority, func(ctx context.Context, parts *progress) (pod.Pulled, error) {
		return i.fetch(ctx, key, cfg.Secrets, parts)
	})
	if err != nil {
		return pod.Pulled{}, pullFailure(cfg.Ref, err)
	}
	return img, nil
}

// platformOf is empty for the host's platform.
func platformOf(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	p, err := platforms.Parse(text)
	if err != nil {
		return "", &pod.Failure{Kind: pod.Permanent, Message: fmt.Sprintf("platform: %v", err)}
	}
	if platforms.Default().Match(p) {
		return "", nil
	}
	return platforms.Format(p), nil
}

// fetch tries the credentials that fit, in order, and none only if there are
// none, as a kubelet does. If it fails, nothing of the image is left that was
// not there before.
func (i Images) fetch(ctx context.Context, what flightKey, secrets [][]byte, parts *progress) (pod.Pulled, error) {
	ctx, end := i.bounded(ctx, what.name, parts)
	defer end()
	before, err := i.Find(ctx, what.name)
	if err != nil {
		return pod.Pulled{}, err
	}
	if before != nil {
		parts.begin(before.Target().Digest)
	} else {
		parts.begin("")
	}
	access, err := i.cfg.Registries.Access(ctx, what.name, secrets)
	if err != nil {
		return pod.Pulled{}, err
	}
	// containerd's client would make a lease of its own, and keep it if ctx ends.
	ctx, release, err := i.Protect(ctx)
	if err != nil {
		return pod.Pulled{}, err
	}
	img, err := i.visit(ctx, what, access, parts)
	release()
	if err != nil {
		i.sweep(ctx)
		if failure := (*pod.Failure)(nil); errors.As(context.Cause(ctx), &failure) {
			err = failure
		}
		return pod.Pulled{}, err
	}
	size, err := img.Size(ctx)
	if err != nil || what.platform != "" {
		return pod.Pulled{Image: pod.Image{ID: img.Target().Digest.String()}, Size: size}, err
	}
	known, err := i.describe(ctx, img)
	return pod.Pulled{Image: known, Size: size}, err
}

// visit tries one credential after the other.
func (i Images) visit(ctx context.Context, what flightKey, access *registry.Access, parts *progress) (containerd.Image, error) {
	name := what.name
	pins, err := i.pins(ctx)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, cred := range access.Credentials() {
		visit := access.Visit(cred)
		ctx := visit.Context(ctx)
		img, err := i.cd.Pull(ctx, name,
			containerd.WithPullLabels(pins[name]),
			i.unpacking(what.platform),
			containerd.WithImageHandlerWrapper(func(h images.Handler) images.Handler { return visit.Limit(parts.watch(h)) }),
			containerd.WithResolver(visit.Resolver(ctx)))
		if err == nil {
			visit.Succeeded()
			return img, nil
		}
		failed = append(failed, visit.Failure(err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// unpacking has the host's own images unpacked; others can't be used here.
func (i Images) unpacking(platform string) containerd.RemoteOpt {
	return func(cd *containerd.Client, rc *containerd.RemoteContext) error {
		if platform != "" {
			return containerd.WithPlatform(platform)(cd, rc)
		}
		return errors.Join(
			containerd.WithPullUnpack(cd, rc),
			containerd.WithPullSnapshotter(i.cfg.Snapshotter)(cd, rc),
			containerd.WithUnpackOpts([]containerd.UnpackOpt{durably})(cd, rc))
	}
}

// sweepTime is what containerd has to remove what a failed pull left.
const sweepTime = 30 * time.Second

// sweep has containerd remove, before it returns, what no lease and no image
// holds: else that would wait for the next time that something is removed.
func (i Images) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(i.Context(context.WithoutCancel(ctx)), sweepTime)
	defer cancel()
	if err := i.collectGarbage(ctx); err != nil {
		i.log.Warn("could not remove what a failed pull left; it goes later", zap.Error(err))
	}
}

// durably has every layer on disk before it counts as unpacked, and fetches the
// content of those that are unpacked already, which Verify needs. A containerd
// before 2.0 does not sync: Verify finds what a power cut did there.
func durably(_ context.Context, u *containerd.UnpackConfig) error {
	u.ApplyOpts = append(u.ApplyOpts, diff.WithSyncFs(true))
	u.FetchAllContent = true
	return nil
}

// pullFailure is in a kubelet's words. A registry that can't be reached, or
// that is in trouble itself, is told apart from one that refuses.
func pullFailure(ref string, err error) error {
	var known *pod.Failure
	if errors.As(err, &known) {
		return err
	}
	if unavailable(err) {
		return &pod.Failure{
			Kind: pod.Transient, Reason: "RegistryUnavailable",
			Message: fmt.Sprintf("image pull failed for %s because the registry is unavailable: %s", ref, oneLine(err)),
		}
	}
	return &pod.Failure{
		Kind: kindOf(err), Reason: "ErrImagePull",
		Message: fmt.Sprintf("failed to pull image %q: %s", ref, oneLine(err)),
	}
}

// oneLine tells what went wrong with each credential, each thing once.
func oneLine(err error) string {
	lines := strings.Split(err.Error(), "\n")
	var all []string
	for _, line := range lines {
		if line = trimRuntime(line); !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	return strings.Join(all, "; ")
}

func unavailable(err error) bool {
	var network *net.OpError
	var lookup *net.DNSError
	if errors.As(err, &network) || errors.As(err, &lookup) {
		return true
	}
	var answer remoteerrors.ErrUnexpectedStatus
	return errors.As(err, &answer) && (answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests)
}

// Find looks an image up by the reference as a pod writes it. It is nil when
// it isn't here, or damaged beyond use.
func (c *Client) Find(ctx context.Context, ref string) (containerd.Image, error) {
	name, err := Normalize(ref)
	if err != nil {
		return nil, nil // pulling it will say what is wrong with the name
	}
	img, err := c.cd.GetImage(c.Context(ctx), name)
	if errdefs.IsNotFound(err) || err == nil && img.Labels()[labelDamaged] != "" {
		c.forgetImage(name)
		return nil, nil
	}
	return img, err
}

// Here is an image as the core wants to know it, and whether it is here.
func (c *Client) Here(ctx context.Context, ref string) (pod.Image, bool, error) {
	seen, err := c.observeImages(ctx, []string{ref})
	img, ok := seen[ref]
	return img, ok, err
}

// described is what describe found out of what a name led to.
type described struct {
	target digest.Digest
	image  pod.Image
}

// describe tells of an image what the core wants to know. Content does not
// change, so it is read once.
func (c *Client) describe(ctx context.Context, img containerd.Image) (pod.Image, error) {
	c.mu.Lock()
	known, ok := c.known[img.Name()]
	c.mu.Unlock()
	if ok && known.target == img.Target().Digest {
		return known.image, nil
	}
	read, err := c.readImage(c.Context(ctx), img)
	if err != nil {
		return pod.Image{}, err
	}
	c.mu.Lock()
	c.known[img.Name()] = described{img.Target().Digest, read}
	c.mu.Unlock()
	return read, nil
}

func (c *Client) forgetImage(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, name)
}

// readImage fails when not all of the image's content is here, or it has none
// for this platform.
func (c *Client) readImage(ctx context.Context, img containerd.Image) (pod.Image, error) {
	config, err := img.Config(ctx)
	if err != nil {
		return pod.Image{}, fmt.Errorf("read image %s: %w", img.Name(), err)
	}
	spec, err := img.Spec(ctx)
	if err != nil {
		return pod.Image{}, fmt.Errorf("read the configuration of image %s: %w", img.Name(), err)
	}
	return pod.Image{ID: imageID(img, config), User: spec.Config.User, StopSignal: stopSignal(spec.Config.StopSignal)}, nil
}

// stopSignal is 0 for an image that names none, or one that there is not: it
// is ended by TERM, as in containerd's CRI.
func stopSignal(name string) syscall.Signal {
	s, err := signal.ParseSignal(name)
	if err != nil {
		return 0
	}
	return s
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
