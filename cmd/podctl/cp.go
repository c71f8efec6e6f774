package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// copyFlags are the flags of cp.
type copyFlags struct {
	container  string
	noPreserve bool
}

func newCopy(s *session) *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "cp SOURCE DESTINATION",
		Short: "Copy files into and out of containers",
		Long: "Copy files and directories into and out of containers. One of the two is a local path, the other\n" +
			"[NAMESPACE/]POD:PATH; a local path with a colon is written as ./a:b. podd does it, so that the\n" +
			"container needs no tar. Links are copied into a container, and left out, with a word, out of one.",
		Example: "  podctl cp web:/etc/nginx/nginx.conf .\n  podctl cp ./site default/web:/usr/share/nginx/html -c nginx",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("source and destination are required")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), s, args[0], args[1]) },
	}
	cmd.Flags().StringVarP(&f.container, "container", "c", "", "the container, if the pod has several")
	cmd.Flags().BoolVar(&f.noPreserve, "no-preserve", false, "into a container, keep neither owners nor special permissions")
	return cmd
}

// place is one end of a copy: local if it has no pod.
type place struct{ namespace, pod, path string }

func parsePlace(text string) (place, error) {
	before, after, colon := strings.Cut(text, ":")
	if !colon || before == "" || strings.HasPrefix(text, ".") || strings.HasPrefix(text, "/") {
		return place{path: text}, nil
	}
	if after == "" {
		return place{}, errors.New("filespec must match the canonical format: [[namespace/]pod:]file/path")
	}
	namespace, pod, two := strings.Cut(before, "/")
	if !two {
		return place{pod: before, path: after}, nil
	}
	if namespace == "" || pod == "" || strings.Contains(pod, "/") {
		return place{}, errors.New("filespec must match the canonical format: [[namespace/]pod:]file/path")
	}
	return place{namespace, pod, after}, nil
}

func (f *copyFlags) run(ctx context.Context, s *session, from, to string) error {
	src, err := parsePlace(from)
	if err != nil {
		return err
	}
	dst, err := parsePlace(to)
	if err != nil {
		return err
	}
	switch {
	case src.pod != "" && dst.pod != "":
		return errors.New("one of src or dest must be a local file specification")
	case src.pod == "" && dst.pod == "":
		return errors.New("one of src or dest must be a remote file specification")
	case src.path == "" || dst.path == "":
		return errors.New("filepath can not be empty")
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	if src.pod != "" {
		return f.out(ctx, s, c, src, dst.path)
	}
	return f.in(ctx, s, c, src.path, dst)
}

// find resolves a place's pod and container.
func (f *copyFlags) find(ctx context.Context, s *session, c *client, p place) (*poddv1.PodRef, string, error) {
	there := *s
	if p.namespace != "" {
		there.namespace = p.namespace
	}
	pod, err := there.pod(ctx, c, p.pod)
	if err != nil {
		return nil, "", err
	}
	name, err := there.container(pod, f.container)
	return podRef(pod), name, err
}

// in copies into a container: into the destination if that is a directory, else
// in its place, as cp(1) does.
func (f *copyFlags) in(ctx context.Context, s *session, c *client, src string, dst place) error {
	if _, err := os.Lstat(src); err != nil {
		return fmt.Errorf("%s doesn't exist in local filesystem", src)
	}
	pod, container, err := f.find(ctx, s, c, dst)
	if err != nil {
		return err
	}
	start := &poddv1.CopyInRequest_Start{Pod: pod, Container: container, Path: dst.path, NoPreserve: f.noPreserve}
	name := filepath.Base(filepath.Clean(src))
	err = copyIn(ctx, c, start, func(*tar.Writer) error { return nil })
	if st, answered := grpcStatus(err); answered && (st.Code() == codes.NotFound || st.Code() == codes.InvalidArgument) && !strings.HasSuffix(dst.path, "/") {
		start.Path, name = path.Dir(dst.path), path.Base(dst.path)
	} else if err != nil {
		return err
	}
	return copyIn(ctx, c, start, func(w *tar.Writer) error { return archive(w, src, name) })
}

// copyIn sends an archive.
func copyIn(ctx context.Context, c *client, start *poddv1.CopyInRequest_Start, fill func(*tar.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.streams.CopyIn(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&poddv1.CopyInRequest{Kind: &poddv1.CopyInRequest_Start_{Start: start}})
	if err == nil {
		w := tar.NewWriter(pieces{stream})
		if err = fill(w); err == nil {
			err = w.Close()
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = stream.CloseAndRecv() // it tells why, if the stream was ended
	return err
}

// pieces sends what is written.
type pieces struct{ stream poddv1.Streams_CopyInClient }

func (p pieces) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), 256<<10)
		if err := p.stream.Send(&poddv1.CopyInRequest{Kind: &poddv1.CopyInRequest_Data{Data: rest[:n]}}); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// archive writes a local file or directory under a name.
func archive(w *tar.Writer, src, name string) error {
	return filepath.WalkDir(src, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(src, at)
		if err != nil {
			return err
		}
		return archiveOne(w, at, path.Join(name, filepath.ToSlash(below)))
	})
}

func archiveOne(w *tar.Writer, at, name string) error {
	info, err := os.Lstat(at)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(at); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = name
	if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(w, f, info.Size())
	return err
}

// out copies out of a container: a directory's content into the destination, a
// file in its place, or into it if that is a directory.
func (f *copyFlags) out(ctx context.Context, s *session, c *client, src place, dst string) error {
	pod, container, err := f.find(ctx, s, c, src)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.streams.CopyOut(ctx, &poddv1.CopyOutRequest{Pod: pod, Container: container, Path: src.path})
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(receive(stream, w)) }()
	defer r.Close()
	return unpack(s, tar.NewReader(r), dst)
}

func receive(stream poddv1.Streams_CopyOutClient, w io.Writer) error {
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		if _, err := w.Write(resp.GetData()); err != nil {
			return err
		}
	}
}

// unpack writes an archive below dst, and nowhere else, whatever is in it and
// whatever links are there.
func unpack(s *session, in *tar.Reader, dst string) error {
	h, err := in.Next()
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(h.Name, "/")
	dir, rename := dst, "."
	if h.Typeflag != tar.TypeDir {
		if info, err := os.Stat(dst); err == nil && info.IsDir() {
			rename = first
		} else {
			dir, rename = filepath.Dir(dst), filepath.Base(dst)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for ; !errors.Is(err, io.EOF); h, err = in.Next() {
		if err != nil {
			return err
		}
		_, below, _ := strings.Cut(h.Name, "/")
		if err := unpackOne(s, root, h, in, path.Join(rename, path.Clean("/" + below)[1:])); err != nil {
			return err
		}
	}
	return nil
}

func unpackOne(s *session, root *os.Root, h *tar.Header, content io.Reader, name string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		return writeFile(root, name, h, content)
	case tar.TypeSymlink, tar.TypeLink:
		fmt.Fprintf(s.errOut, "warning: skipping symlink: %q -> %q\n", h.Name, h.Linkname)
	default:
		fmt.Fprintf(s.errOut, "warning: skipping %q: it is neither a file nor a directory\n", h.Name)
	}
	return nil
}

func writeFile(root *os.Root, name string, h *tar.Header, content io.Reader) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fs.FileMode(h.Mode)&0o755|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
