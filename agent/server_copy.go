package agent

import (
	"errors"
	"io"

	"google.golang.org/grpc"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// CopyOut sends what is at a path of a running container as a tar archive.
func (s *streams) CopyOut(req *poddv1.CopyOutRequest, stream grpc.ServerStreamingServer[poddv1.CopyOutResponse]) error {
	if req.Path == "" {
		return apierrors.NewBadRequest("path: it is empty")
	}
	_, _, id, err := s.running(req.Pod, req.Container)
	if err != nil {
		return err
	}
	ctx, cancel := withLife(stream.Context(), s.a.life)
	defer cancel()
	return s.a.cfg.Files.CopyOut(ctx, id, req.Path, writer(func(p []byte) error {
		return stream.Send(&poddv1.CopyOutResponse{Data: p})
	}))
}

// CopyIn unpacks a tar archive into a directory of a running container.
func (s *streams) CopyIn(stream grpc.ClientStreamingServer[poddv1.CopyInRequest, poddv1.CopyInResponse]) error {
	msg, err := stream.Recv()
	if err != nil {
		return err
	}
	start := msg.GetStart()
	if start == nil || start.Path == "" {
		return apierrors.NewBadRequest("the first message has to be the start, with a path")
	}
	_, _, id, err := s.running(start.Pod, start.Container)
	if err != nil {
		return err
	}
	ctx, cancel := withLife(stream.Context(), s.a.life)
	defer cancel()
	archive, feed := io.Pipe()
	defer archive.Close() // ends the receiving
	go receiveArchive(stream, feed)
	if err := s.a.cfg.Files.CopyIn(ctx, id, start.Path, archive, !start.NoPreserve); err != nil {
		return err
	}
	return stream.SendAndClose(&poddv1.CopyInResponse{})
}

// receiveArchive passes an archive on. One that is broken off ends with the
// error.
func receiveArchive(stream grpc.ClientStreamingServer[poddv1.CopyInRequest, poddv1.CopyInResponse], to *io.PipeWriter) {
	for {
		req, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			to.CloseWithError(err)
			return
		}
		if _, err := to.Write(req.GetData()); err != nil {
			return
		}
	}
}
