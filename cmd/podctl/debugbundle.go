package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/podd-io/podd/cmd/podctl/redact"
)

func newDebugBundle(s *session) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "debug-bundle [-o FILE]",
		Short: "Gather what a report of a defect needs into a file, without secrets",
		Long: "Gather what a report of a defect needs into a .tar.gz: versions, configuration, objects and events, why podd did what it did, " +
			"where the time of starts went, podd's state, goroutines, heap, metrics and log, and the log of a containerd that podd keeps.\n\n" +
			"The values of Secrets, ConfigMaps, environment variables, HTTP headers and last-applied annotations are taken out, and looked for in " +
			"everything else. Commands and arguments, names and addresses stay in: look through it before you give it away.\n" +
			"Run it as root where podd runs: others get no state, profiles and logs.",
		Example: "  podctl debug-bundle\n  podctl debug-bundle -o - | tar tz",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.close()
			b := gather(cmd.Context(), s, c)
			if err := b.write(s, file); err != nil {
				return err
			}
			for _, problem := range b.problems {
				fmt.Fprintf(s.errOut, "Warning: not in the bundle: %s\n", problem)
			}
			return cmd.Context().Err()
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "the file, - being standard output (default podd-debug-TIME.tar.gz)")
	return cmd
}

// bundle is what was gathered.
type bundle struct {
	now   time.Time
	files []bundled
	// problems are what is missing, and why.
	problems []string
	redactor redact.Redactor
}

type bundled struct {
	name string
	data []byte
	// binary: it is no text, and has no secret in it.
	binary bool
}

func (b *bundle) text(name, text string) {
	b.files = append(b.files, bundled{name: name, data: []byte(text)})
}

func (b *bundle) missing(what string, err error) {
	b.problems = append(b.problems, fmt.Sprintf("%s: %v", what, err))
}

// write writes the archive; a file is for its owner alone.
func (b *bundle) write(s *session, file string) (err error) {
	if file == "-" {
		return b.pack(s.out)
	}
	if file == "" {
		file = b.name() + ".tar.gz"
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	if err := errors.Join(b.pack(f), f.Close()); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	_, err = fmt.Fprintf(s.out, "%s\n", file)
	return err
}

func (b *bundle) name() string { return "podd-debug-" + b.now.UTC().Format("20060102-150405") }

// pack takes the secrets that are known by now out of every text.
func (b *bundle) pack(to io.Writer) error {
	if len(b.problems) > 0 {
		b.text("missing.txt", strings.Join(b.problems, "\n")+"\n")
	}
	zipped := gzip.NewWriter(to)
	archive := tar.NewWriter(zipped)
	for _, f := range b.files {
		data := f.data
		if !f.binary {
			data = []byte(b.redactor.Text(string(data)))
		}
		header := &tar.Header{Name: b.name() + "/" + f.name, Mode: 0o600, Size: int64(len(data)), ModTime: b.now}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(data); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}

// gather asks for one thing after the other. What can't be had is noted.
func gather(ctx context.Context, s *session, c *client) *bundle {
	b := &bundle{now: s.now()}
	parts := []func(context.Context, *session, *client) error{
		b.addVersion, b.addObjects, b.addTimeline, b.addWhy, b.addDiagnoses, b.addConfig,
	}
	for _, part := range parts {
		if err := part(ctx, s, c); err != nil {
			text, _ := s.describeFailure(err)
			b.problems = append(b.problems, text)
		}
	}
	return b
}
