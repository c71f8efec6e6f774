package runtime

import (
	"context"
	"errors"
	"io"
	"io/fs"

	containerd "github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/files"
)

// CopyOut writes a tar archive of what is at a path of a running container. A
// relative path begins at the container's working directory.
func (c *Client) CopyOut(ctx context.Context, id, path string, w io.Writer) error {
	root, err := c.rootOf(ctx, id)
	if err != nil {
		return copyFailure("copy out of container", err)
	}
	defer root.Close()
	return copyFailure("copy out of container", root.CopyOut(ctx, path, w))
}

// CopyIn unpacks a tar archive into a directory of a running container.
func (c *Client) CopyIn(ctx context.Context, id, path string, r io.Reader, preserve bool) error {
	root, err := c.rootOf(ctx, id)
	if err != nil {
		return copyFailure("copy into container", err)
	}
	defer root.Close()
	return copyFailure("copy into container", root.CopyIn(ctx, path, r, preserve))
}

// rootOf opens a running container's file system.
func (c *Client) rootOf(ctx context.Context, id string) (*files.Root, error) {
	ctx = c.Context(ctx)
	task, proc, err := c.execTarget(ctx, id)
	if err != nil {
		return nil, err
	}
	root, err := files.Open(int(task.Pid()))
	if err != nil {
		return nil, err
	}
	// Had it ended before the root was opened, another process could have its
	// number.
	st, err := task.Status(ctx)
	if err == nil && st.Status != containerd.Running {
		err = &pod.Failure{Kind: pod.NotFound, Message: "it does not run"}
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	root.Cwd, root.Owner = proc.Cwd, files.Owner{UID: int(proc.User.UID), GID: int(proc.User.GID)}
	return root, nil
}

// copyFailure: what the caller named wrongly is his, not podd's.
func copyFailure(what string, err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = pod.NotFound
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EROFS), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG):
		kind = pod.Permanent
	}
	return &pod.Failure{Kind: kind, Message: what + ": " + err.Error()}
}
