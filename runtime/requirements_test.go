package runtime_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	versionservice "github.com/containerd/containerd/api/services/version/v1"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
)

// aContainerd answers what podd asks of a containerd that it meets.
type aContainerd struct {
	versionservice.UnimplementedVersionServer
	introspection.UnimplementedIntrospectionServer
	version string
	plugins []*introspection.Plugin
}

func (a *aContainerd) Version(context.Context, *emptypb.Empty) (*versionservice.VersionResponse, error) {
	return &versionservice.VersionResponse{Version: a.version}, nil
}

func (a *aContainerd) Plugins(context.Context, *introspection.PluginsRequest) (*introspection.PluginsResponse, error) {
	return &introspection.PluginsResponse{Plugins: a.plugins}, nil
}

// serve returns its socket.
func (a *aContainerd) serve(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := net.Listen("unix", dir+"/c.sock")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	versionservice.RegisterVersionServer(server, a)
	introspection.RegisterIntrospectionServer(server, a)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return dir + "/c.sock"
}

// plugins are what a containerd has that can do all, without those named.
func plugins(without ...string) []*introspection.Plugin {
	var out []*introspection.Plugin
	for _, name := range []string{
		"io.containerd.grpc.v1 containers", "io.containerd.grpc.v1 content", "io.containerd.grpc.v1 diff", "io.containerd.grpc.v1 events",
		"io.containerd.grpc.v1 images", "io.containerd.grpc.v1 leases", "io.containerd.grpc.v1 snapshots", "io.containerd.grpc.v1 tasks",
		"io.containerd.runtime.v2 task", "io.containerd.snapshotter.v1 overlayfs", "io.containerd.snapshotter.v1 native",
	} {
		kind, id, _ := strings.Cut(name, " ")
		p := &introspection.Plugin{Type: kind, ID: id}
		for _, w := range without {
			if failed, why, ok := strings.Cut(w, ": "); ok && failed == id {
				p.InitErr = &status.Status{Message: why}
			} else if w == id {
				p = nil
				break
			}
		}
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

func TestAContainerdThatPoddCannotUseIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		has  aContainerd
		want string
	}{
		"too old":          {aContainerd{version: "1.5.18", plugins: plugins()}, "is version 1.5.18: podd needs 1.6.0 or later"},
		"much too old":     {aContainerd{version: "v0.2.9"}, "is version v0.2.9: podd needs 1.6.0 or later"},
		"no snapshotter":   {aContainerd{version: "1.7.35", plugins: plugins("overlayfs")}, "plugin io.containerd.snapshotter.v1.overlayfs (the file systems of containers) is not there"},
		"one that failed":  {aContainerd{version: "1.7.35", plugins: plugins("overlayfs: no overlay in this kernel")}, "did not start: no overlay in this kernel"},
		"two are missing":  {aContainerd{version: "2.4.2", plugins: plugins("leases", "task")}, "(leases) is not there; plugin io.containerd.runtime.v2.task (shims of version 2) is not there"},
		"none are missing": {aContainerd{version: "1.6.20~ds1", plugins: plugins()}, ""},
		"the first":        {aContainerd{version: "1.6.0", plugins: plugins()}, ""},
		"a later one":      {aContainerd{version: "v2.4.2", plugins: plugins()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := runtime.Connect(t.Context(), runtime.Config{Address: test.has.serve(t), Namespace: "test"}, zap.NewNop())
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := client.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			var failure *pod.Failure
			if !errors.As(err, &failure) || failure.Kind != pod.Permanent || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Connect = %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestAVersionThatCannotBeReadIsLetThrough(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	has := aContainerd{version: "<unknown>", plugins: plugins()}
	client, err := runtime.Connect(t.Context(), runtime.Config{Address: has.serve(t), Namespace: "test"}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if logs.FilterMessageSnippet("version is not known").Len() != 1 {
		t.Errorf("no warning: %v", logs.All())
	}
}
