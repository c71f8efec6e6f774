package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"

	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/podd-io/podd/pod"
)

// oldest is the first minor version of containerd that podd works with: 1.6 is
// the oldest that podd is tested on, and that a supported distribution has.
const oldest = "1.6.0"

// need is a plugin of containerd that podd can't do without, and what for.
type need struct{ kind, id, what string }

// needs are all services that podd calls, with what stands behind them. The
// names have been the same since 1.6.
func needs(snapshotter string) []need {
	return []need{
		{"io.containerd.grpc.v1", "containers", "containers"},
		{"io.containerd.grpc.v1", "content", "the content of images"},
		{"io.containerd.grpc.v1", "diff", "unpacking images"},
		{"io.containerd.grpc.v1", "events", "events"},
		{"io.containerd.grpc.v1", "images", "images"},
		{"io.containerd.grpc.v1", "leases", "leases"},
		{"io.containerd.grpc.v1", "snapshots", "snapshots"},
		{"io.containerd.grpc.v1", "tasks", "tasks"},
		{"io.containerd.runtime.v2", "task", "shims of version 2"},
		{"io.containerd.snapshotter.v1", snapshotter, "the file systems of containers"},
	}
}

// check refuses a containerd that is too old, or lacks what podd needs: it
// would answer, and fail each pod for its own reason.
func (c *Client) check(ctx context.Context) error {
	v, err := c.cd.Version(ctx)
	if err != nil {
		return fmt.Errorf("containerd at %s does not answer: %w", c.cfg.Address, err)
	}
	if err := c.checkVersion(v.Version); err != nil {
		return err
	}
	resp, err := c.cd.IntrospectionService().Plugins(ctx)
	if err != nil {
		return fmt.Errorf("ask containerd at %s for its plugins: %w", c.cfg.Address, err)
	}
	if missing := lacking(needs(c.cfg.Snapshotter), resp.GetPlugins()); len(missing) > 0 {
		return refused("containerd %s at %s lacks what podd needs: %s", v.Version, c.cfg.Address, strings.Join(missing, "; "))
	}
	return nil
}

// checkVersion lets one through that it cannot read, such as a development
// build's, with a warning.
func (c *Client) checkVersion(got string) error {
	v, err := version.ParseGeneric(got)
	if err != nil {
		c.log.Warn("containerd's version is not known to podd; it is tested from "+oldest+" on", zap.String("version", got))
		return nil
	}
	if v.LessThan(version.MustParseGeneric(oldest)) {
		return refused("containerd at %s is version %s: podd needs %s or later; let podd keep its own (--containerd managed), or upgrade it",
			c.cfg.Address, got, oldest)
	}
	return nil
}

func refused(format string, args ...any) error {
	return &pod.Failure{Kind: pod.Permanent, Message: fmt.Sprintf(format, args...)}
}

// lacking says of each need that is not met why: the plugin is not there, or it
// did not start.
func lacking(needs []need, plugins []*introspection.Plugin) []string {
	started := map[string]error{}
	for _, p := range plugins {
		var failed error
		if p.GetInitErr() != nil {
			failed = errors.New(p.GetInitErr().GetMessage())
		}
		started[p.GetType()+"."+p.GetID()] = failed
	}
	var out []string
	for _, n := range needs {
		name := n.kind + "." + n.id
		switch failed, ok := started[name]; {
		case !ok:
			out = append(out, fmt.Sprintf("plugin %s (%s) is not there", name, n.what))
		case failed != nil:
			out = append(out, fmt.Sprintf("plugin %s (%s) did not start: %v", name, n.what, failed))
		}
	}
	return out
}
