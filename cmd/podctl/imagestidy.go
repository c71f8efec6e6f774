package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/cmd/podctl/table"
)

func newImagesPrune(s *session) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove every image that no pod needs and that is not pinned",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.close()
			resp, err := c.images.Prune(cmd.Context(), &poddv1.PruneRequest{DryRun: dry})
			if err != nil {
				return err
			}
			how := ""
			if dry {
				how = " (dry run)"
			}
			var freed int64
			for _, image := range resp.GetImages() {
				freed += image.GetSize()
				for _, name := range imageNames(image) {
					fmt.Fprintf(s.out, "image %q deleted%s\n", name, how)
				}
			}
			fmt.Fprintf(s.out, "%s of content%s\n", table.Size(freed), how)
			return nil
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be removed")
	return cmd
}

func newImagesVerify(s *session) *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify [IMAGE...]",
		Short: "Look whether images are damaged on disk",
		Long: "Hold images on disk against their digests, and what is unpacked of them against their layers: all\n" +
			"images, or those named. The exit code is 1 if any is found damaged and is not repaired.",
		ValidArgsFunction: s.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.close()
			stream, err := c.images.Verify(cmd.Context(), &poddv1.VerifyRequest{Names: args, Repair: repair})
			if err != nil {
				return err
			}
			return s.showVerified(stream.Recv)
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "unpack damaged layers anew; an image whose content is damaged is fetched again by the next pod that needs it")
	return cmd
}

// showVerified shows what is found of each image. Its error says how many are
// damaged.
func (s *session) showVerified(next func() (*poddv1.VerifyResponse, error)) error {
	damaged := 0
	for {
		resp, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		state := strings.ToLower(strings.TrimPrefix(resp.GetState().String(), "STATE_"))
		for _, name := range resp.GetNames() {
			fmt.Fprintf(s.out, "image %q %s\n", name, state)
		}
		for _, finding := range resp.GetFindings() {
			fmt.Fprintf(s.out, "  %s\n", finding)
		}
		if resp.GetState() > poddv1.VerifyResponse_STATE_REPAIRED {
			damaged++
		}
	}
	switch damaged {
	case 0:
		return nil
	case 1:
		return errors.New("1 image is damaged")
	}
	return fmt.Errorf("%d images are damaged", damaged)
}
