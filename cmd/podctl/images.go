package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

func newImages(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "images",
		Aliases: []string{"image"},
		Short:   "List, import, pull, verify and remove images",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImagesList(s), newImagesImport(s), newImagesPull(s), newImagesRemove(s), newImagesPrune(s), newImagesVerify(s))
	return cmd
}

func newImagesList(s *session) *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List images; the same as get images",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.parse([]string{"images"}); err != nil {
				return err
			}
			return f.run(cmd.Context(), s)
		},
	}
	addOutputFlag(cmd, &f.output)
	cmd.Flags().BoolVar(&f.noHeaders, "no-headers", false, "without the headers of the table")
	return cmd
}

func newImagesImport(s *session) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:     "import FILE...|-",
		Short:   "Load images from OCI or Docker archives",
		Example: "  podctl images import busybox.tar\n  docker save web:1 | podctl images import -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.close()
			for _, path := range args {
				if err := s.importArchive(cmd.Context(), c, path, name); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the image's name, for an archive that has none in it")
	return cmd
}

// importArchive loads one archive, - being standard input.
func (s *session) importArchive(ctx context.Context, c *client, path, name string) error {
	archive := s.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		archive = f
		if info, err := f.Stat(); err == nil && info.Size() > 0 {
			m := s.meter(path)
			defer m.end()
			archive = &metered{Reader: f, m: m, total: info.Size()}
		}
	}
	images, err := c.importImages(ctx, archive, name)
	if err != nil {
		return err
	}
	for _, image := range images {
		for _, name := range imageNames(image) {
			fmt.Fprintf(s.out, "image %q imported\n", name)
		}
	}
	return nil
}

// importChunk is how much of an archive one message carries.
const importChunk = 1 << 20

func (c *client) importImages(ctx context.Context, archive io.Reader, name string) ([]*poddv1.Image, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.images.Import(ctx)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, importChunk)
	for first := true; ; first = false {
		n, readErr := io.ReadFull(archive, buf)
		if n > 0 || first {
			if err := stream.Send(&poddv1.ImportRequest{Data: buf[:n], Name: name}); err != nil {
				break // podd has refused it: the answer says why
			}
		}
		name = ""
		if errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF) {
			break
		}
		if readErr != nil {
			return nil, fmt.Errorf("read the archive: %w", readErr)
		}
	}
	resp, err := stream.CloseAndRecv()
	return resp.GetImages(), err
}

func newImagesRemove(s *session) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:               "rm IMAGE...",
		Aliases:           []string{"remove"},
		Short:             "Remove images, or names of them",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: s.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.close()
			var wrong []error
			for _, name := range args {
				resp, err := c.images.Remove(cmd.Context(), &poddv1.RemoveRequest{Name: name, Force: force})
				wrong = append(wrong, err)
				for _, gone := range resp.GetNames() {
					fmt.Fprintf(s.out, "image %q deleted\n", gone)
				}
			}
			return errors.Join(wrong...)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "also if a pod needs it")
	return cmd
}

func newImagesPull(s *session) *cobra.Command {
	var platform string
	cmd := &cobra.Command{
		Use:   "pull IMAGE...",
		Short: "Fetch images from their registry",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.close()
			for _, name := range args {
				if err := s.pull(cmd.Context(), c, name, platform); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "such as linux/arm64; the host's if not given")
	return cmd
}

// pull fetches one image and says how far it is.
func (s *session) pull(ctx context.Context, c *client, name, platform string) error {
	stream, err := c.images.Pull(ctx, &poddv1.PullRequest{Name: name, Platform: platform})
	if err != nil {
		return err
	}
	m := s.meter(name)
	defer m.end()
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if image := resp.GetImage(); image != nil {
			m.end()
			fmt.Fprintf(s.out, "image %q pulled\n", imageNames(image)[0])
			continue
		}
		m.show(resp.GetBytesDone(), resp.GetBytesTotal())
	}
}

// imageNames are what an image is called, at least by its id.
func imageNames(image *poddv1.Image) []string {
	if len(image.GetNames()) == 0 {
		return []string{image.GetId()}
	}
	return image.GetNames()
}

// listImages is one object for each name, so that images print as objects do.
func (c *client) listImages(ctx context.Context) ([]*unstructured.Unstructured, error) {
	resp, err := c.images.List(ctx, &poddv1.ImagesListRequest{})
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, image := range resp.GetImages() {
		for _, name := range imageNames(image) {
			objects = append(objects, imageObject(image, name))
		}
	}
	return objects, nil
}

// getImage is the image of a name, as podd writes it, or an id.
func (c *client) getImage(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	objects, err := c.listImages(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetName() == name || o.Object["id"] == name
	})
	if i < 0 {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "images"}, name)
	}
	return objects[i], nil
}

// imageObject is an image in the form of a Kubernetes object, which it is not.
func imageObject(image *poddv1.Image, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "podd.io/v1", "kind": imageKind,
		"id": image.GetId(), "size": image.GetSize(), "pinned": image.GetPinned(),
		"names": anySlice(image.GetNames()), "digests": anySlice(image.GetDigests()),
	}}
	object.SetName(name)
	if image.GetCreatedAt() != nil {
		object.SetCreationTimestamp(metav1.NewTime(image.GetCreatedAt().AsTime()))
	}
	return object
}

func anySlice(texts []string) []any {
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	return values
}
