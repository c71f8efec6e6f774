package agent

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// images serves podd.v1.Images.
type images struct {
	poddv1.UnimplementedImagesServer
	a *Agent
}

func wireImages(all []pod.StoredImage) []*poddv1.Image {
	out := make([]*poddv1.Image, 0, len(all))
	for _, img := range all {
		out = append(out, &poddv1.Image{
			Id: img.ID, Names: img.Names, Digests: img.Digests, Size: img.Size,
			CreatedAt: timestamppb.New(img.CreatedAt), Pinned: img.Pinned,
		})
	}
	return out
}

func (i *images) List(ctx context.Context, _ *poddv1.ImagesListRequest) (*poddv1.ImagesListResponse, error) {
	all, err := i.a.cfg.ImageStore.List(ctx)
	if err != nil {
		return nil, err
	}
	return &poddv1.ImagesListResponse{Images: wireImages(all)}, nil
}

// Pull fetches an image; a caller that goes away ends it, unless a pod waits
// for the same one.
func (i *images) Pull(req *poddv1.PullRequest, stream grpc.ServerStreamingServer[poddv1.PullResponse]) error {
	if req.Name == "" {
		return apierrors.NewBadRequest("name: it is needed")
	}
	ctx := stream.Context()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var got pod.Pulled
	pulled := make(chan error, 1)
	go func() {
		var err error
		got, err = i.a.cfg.Images.Pull(ctx, pod.PullConfig{Ref: req.Name, Policy: corev1.PullAlways, Platform: req.Platform})
		pulled <- err
	}()
	if err := i.follow(ctx, req.Name, stream, pulled); err != nil {
		return err
	}
	i.a.hint("") // pods may wait for it
	i.a.nudge()
	return stream.Send(&poddv1.PullResponse{Image: &poddv1.Image{Id: got.ID, Names: []string{req.Name}, Size: got.Size}})
}

// progressEvery is how often a caller is told how far a pull is.
const progressEvery = 200 * time.Millisecond

// follow tells how far a pull is until it has ended. It returns when it has,
// also if the caller has gone.
func (i *images) follow(ctx context.Context, ref string, stream grpc.ServerStreamingServer[poddv1.PullResponse], pulled <-chan error) error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var told *poddv1.PullResponse
	for {
		select {
		case err := <-pulled:
			return err
		case <-tick.C:
		}
		done, total, err := i.a.cfg.ImageStore.Pulling(ctx, ref)
		if err != nil || total == 0 {
			continue // the pull itself tells what is wrong
		}
		now := &poddv1.PullResponse{BytesDone: done, BytesTotal: total}
		if !proto.Equal(now, told) {
			told = now
			_ = stream.Send(now) // the call's context ends with its caller
		}
	}
}

// Import loads an archive that comes in pieces.
func (i *images) Import(stream grpc.ClientStreamingServer[poddv1.ImportRequest, poddv1.ImportResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return apierrors.NewBadRequest("the archive is empty")
		}
		return err
	}
	archive := &chunks{stream: stream, rest: first.Data}
	all, err := i.a.cfg.ImageStore.Import(stream.Context(), archive, first.Name)
	if err != nil {
		return err
	}
	i.a.hint("") // pods may wait for it
	return stream.SendAndClose(&poddv1.ImportResponse{Images: wireImages(all)})
}

// chunks reads the pieces as one.
type chunks struct {
	stream grpc.ClientStreamingServer[poddv1.ImportRequest, poddv1.ImportResponse]
	rest   []byte
}

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		next, err := c.stream.Recv()
		if err != nil {
			return 0, err
		}
		c.rest = next.Data
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (i *images) Remove(ctx context.Context, req *poddv1.RemoveRequest) (*poddv1.RemoveResponse, error) {
	if req.Name == "" {
		return nil, apierrors.NewBadRequest("name: it is needed")
	}
	var needed map[string]string
	if !req.Force {
		needed = i.a.neededImages()
	}
	names, err := i.a.cfg.ImageStore.Remove(ctx, req.Name, needed)
	if err != nil {
		return nil, err
	}
	return &poddv1.RemoveResponse{Names: names}, nil
}

// Prune removes what nobody needs. What could not be removed is told, after
// everything else was.
func (i *images) Prune(ctx context.Context, req *poddv1.PruneRequest) (*poddv1.PruneResponse, error) {
	all, err := i.a.cfg.ImageStore.Unneeded(ctx, i.a.neededImages())
	if err != nil || req.DryRun {
		return &poddv1.PruneResponse{Images: wireImages(all)}, err
	}
	var gone []pod.StoredImage
	var wrong []error
	for _, img := range all {
		_, err := i.a.cfg.ImageStore.Remove(ctx, img.ID, i.a.neededImages())
		if err == nil {
			gone = append(gone, img)
		}
		wrong = append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return &poddv1.PruneResponse{Images: wireImages(gone)}, nil
}

// Verify tells of each image as it is looked at.
func (i *images) Verify(req *poddv1.VerifyRequest, stream grpc.ServerStreamingServer[poddv1.VerifyResponse]) error {
	return i.a.cfg.ImageStore.Verify(stream.Context(), req.Names, req.Repair, func(c pod.ImageCheck) error {
		return stream.Send(&poddv1.VerifyResponse{
			Names: c.Names, State: poddv1.VerifyResponse_STATE_SOUND + poddv1.VerifyResponse_State(c.State), Findings: c.Findings,
		})
	})
}
