package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
)

const defaultAddress = "unix:///run/podd/podd.sock"

// session is what every verb starts from: where podd is, and where input comes
// from and output goes. The global flags are parsed into it before a verb runs.
type session struct {
	in          io.Reader
	out, errOut io.Writer
	now         func() time.Time
	getenv      func(string) string
	// dialer reaches the endpoint; nil is grpc's own.
	dialer func(ctx context.Context, address string) (net.Conn, error)

	address        string
	namespace      string
	requestTimeout time.Duration
}

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "podctl",
		Short: "podctl controls podd, which runs Kubernetes pods on this host",
		Long: "podctl controls podd, which runs Kubernetes pods on this host.\n\n" +
			"It has kubectl's verbs, flags, columns and exit codes. It finds podd by --address,\n" +
			"else by $PODD_ADDRESS, else at " + defaultAddress + ".",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&s.address, "address", "", "podd's control endpoint (default $PODD_ADDRESS, else "+defaultAddress+")")
	flags.StringVarP(&s.namespace, "namespace", "n", "", "the namespace of what is named")
	flags.DurationVar(&s.requestTimeout, "request-timeout", time.Minute, "how long one answer of podd may take; 0 is as long as it takes. Streams (watch, logs, exec, import, pull) have no limit")
	complete(root, "namespace", s.completeNamespaces)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nSee '%s --help' for usage", err, cmd.CommandPath())
	})
	root.AddCommand(
		newApply(s), newCreate(s), newRun(s), newEdit(s), newDiff(s), newGet(s), newDescribe(s), newEvents(s),
		newLogs(s), newExec(s), newAttach(s), newPortForward(s), newCopy(s),
		newDelete(s), newWait(s), newImages(s), newVersion(s),
	)
	return root
}

// endpoint is the address in force, by flag, environment or default.
func (s *session) endpoint() string {
	if s.address != "" {
		return s.address
	}
	if address := s.getenv("PODD_ADDRESS"); address != "" {
		return address
	}
	return defaultAddress
}

// space is the namespace in force.
func (s *session) space() string {
	if s.namespace != "" {
		return s.namespace
	}
	return corev1.NamespaceDefault
}
