package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"strings"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podd-io/podd/agent/summary"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// Version is what Node.Version tells of this program; the rest is the host's.
type Version struct {
	Version, Commit, Go, Kubernetes string
	// Runtime is the OCI runtime's, Cgroup "v1" or "v2".
	Runtime, Cgroup string
}

// node serves podd.v1.Node.
type node struct {
	poddv1.UnimplementedNodeServer
	a *Agent
}

func (n *node) GetNode(ctx context.Context, _ *poddv1.GetNodeRequest) (*poddv1.GetNodeResponse, error) {
	e, err := n.a.node(ctx)
	if err != nil {
		return nil, err
	}
	w, err := wire(e.Object)
	return &poddv1.GetNodeResponse{Object: w}, err
}

// Version fails unless podd can work: that its runtime answers is part of it.
func (n *node) Version(ctx context.Context, _ *poddv1.VersionRequest) (*poddv1.VersionResponse, error) {
	if err := n.a.cfg.Working(ctx); err != nil {
		return nil, status.Errorf(codes.Unavailable, "podd is not ready to work: %v", err)
	}
	host, err := n.a.cfg.Host.Node(ctx)
	if err != nil {
		return nil, err
	}
	v := n.a.cfg.Version
	return &poddv1.VersionResponse{
		Version: v.Version, Commit: v.Commit, GoVersion: v.Go, KubernetesVersion: v.Kubernetes,
		ContainerdVersion: strings.TrimPrefix(host.Status.NodeInfo.ContainerRuntimeVersion, "containerd://"),
		RuntimeVersion:    v.Runtime, CgroupVersion: v.Cgroup,
		KernelVersion: host.Status.NodeInfo.KernelVersion,
	}, nil
}

func (n *node) Config(context.Context, *poddv1.ConfigRequest) (*poddv1.ConfigResponse, error) {
	return &poddv1.ConfigResponse{Yaml: n.a.settings.Load().ConfigYAML}, nil
}

// Stats answers with what could be read. Only if that is nothing it fails.
func (n *node) Stats(ctx context.Context, req *poddv1.StatsRequest) (*poddv1.StatsResponse, error) {
	of := pod.UsageAll
	if req.GetOnlyCpuAndMemory() {
		of = pod.UsageCore
	}
	u, err := n.a.busy(ctx, of)
	if err != nil && u.Node.Time.IsZero() {
		return nil, err
	}
	if err != nil && ctx.Err() == nil {
		n.a.cfg.Log.Warn("not all of what is used could be read; the summary lacks it", zap.Error(err))
	}
	text, err := json.Marshal(summary.Of(n.a.cfg.Facts().Name, u, of))
	return &poddv1.StatsResponse{Json: text}, err
}

// Backup sends a copy of the store.
func (n *node) Backup(_ *poddv1.BackupRequest, stream grpc.ServerStreamingServer[poddv1.BackupResponse]) error {
	w := bufio.NewWriterSize(pieces{stream}, backupPiece)
	if err := n.a.cfg.Backup(w); err != nil {
		return err
	}
	return w.Flush()
}

// backupPiece is about how much of a backup is sent at once, in bytes.
const backupPiece = 256 << 10

// pieces sends what is written.
type pieces struct {
	stream grpc.ServerStreamingServer[poddv1.BackupResponse]
}

func (p pieces) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		piece := rest[:min(len(rest), backupPiece)]
		rest = rest[len(piece):]
		if err := p.stream.Send(&poddv1.BackupResponse{Data: piece}); err != nil {
			return 0, err
		}
	}
	return len(data), nil
}

// providers serves podd.v1.Providers.
type providers struct {
	poddv1.UnimplementedProvidersServer
}

func (providers) Serve(grpc.BidiStreamingServer[poddv1.ServeRequest, poddv1.ServeResponse]) error {
	return status.Error(codes.Unimplemented, "providers are not supported yet: pods that need a service account token, a trust bundle or a certificate are refused when they are applied")
}
