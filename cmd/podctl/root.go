package main

import (
	"cmp"
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
	// suffix ends names that are made up: so many random letters.
	suffix func(letters int) string
	// dialer reaches the endpoint; nil is grpc's own.
	dialer func(ctx context.Context, address string) (net.Conn, error)

	address        string
	namespace      string
	requestTimeout time.Duration
	contextName    string
	certificates   certificates

	// inForce is the context that settle found; empty without one.
	inForce namedContext
}

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "podctl",
		Short: "podctl controls podd, which runs Kubernetes pods on this host",
		Long: "podctl controls podd, which runs Kubernetes pods on this host.\n\n" +
			"It has kubectl's verbs, flags, columns and exit codes. It finds podd by --address,\n" +
			"else by --context, else by $PODD_ADDRESS, else by the current context, else at " + defaultAddress + ".",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&s.address, "address", "", "podd's control endpoint (default $PODD_ADDRESS, else "+defaultAddress+")")
	flags.StringVarP(&s.namespace, "namespace", "n", "", "the namespace of what is named")
	flags.DurationVar(&s.requestTimeout, "request-timeout", time.Minute, "how long one answer of podd may take; 0 is as long as it takes. Streams (watch, logs, exec, import, pull) have no limit")
	flags.StringVar(&s.contextName, "context", "", "the context that says where podd is and which namespace is meant (see podctl config)")
	s.certificates.addFlags(flags)
	complete(root, "context", s.completeContexts)
	complete(root, "namespace", s.completeNamespaces)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nSee '%s --help' for usage", err, cmd.CommandPath())
	})
	root.AddCommand(
		newApply(s), newCreate(s), newRun(s), newEdit(s), newDiff(s), newGet(s), newDescribe(s), newEvents(s), newWhy(s), newTop(s),
		newLogs(s), newExec(s), newAttach(s), newDebug(s), newPortForward(s), newCopy(s),
		newDelete(s), newWait(s), newImages(s), newBootChart(s), newDebugBundle(s), newProfile(s), newConfig(s), newVersion(s),
	)
	return root
}

// endpoint is the address in force: by flag, by the context of a flag, by
// environment, by the current context or by default.
func (s *session) endpoint() string {
	asked := ""
	if s.contextName != "" {
		asked = s.inForce.Address
	}
	return cmp.Or(s.address, asked, s.getenv("PODD_ADDRESS"), s.inForce.Address, defaultAddress)
}

// space is the namespace in force.
func (s *session) space() string {
	return cmp.Or(s.namespace, s.inForce.Namespace, corev1.NamespaceDefault)
}
