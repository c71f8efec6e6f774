package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/podd-io/podd/pod"
)

func TestARootIsForOnePodd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	first, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("lock %s: another podd uses it: pid %d", dir, os.Getpid())
	if _, err := lock(dir); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheChoiceOfContainerdIsKept(t *testing.T) {
	ctx := t.Context()
	host := fakeContainerd(t)
	cfg := Config{Root: t.TempDir(), Containerd: containerdAuto}
	for range 2 {
		if got, err := choose(ctx, cfg, host+".missing", zap.NewNop()); err != nil || !got.managed() {
			t.Errorf("without a containerd on the host: %q, %v", got, err)
		}
	}
	if got, err := choose(ctx, cfg, host, zap.NewNop()); err != nil || !got.managed() {
		t.Errorf("a containerd that came later: %q, %v", got, err)
	}
	cfg.Containerd = "unix://" + host
	if _, err := choose(ctx, cfg, host, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "are in managed, not in "+host) {
		t.Errorf("another than the recorded: %v", err)
	}
	cfg.Root = t.TempDir()
	if got, err := choose(ctx, cfg, "/nonexistent", zap.NewNop()); err != nil || string(got) != host {
		t.Errorf("a socket: %q, %v", got, err)
	}
}

func TestAutoTakesTheHostsContainerd(t *testing.T) {
	ctx := t.Context()
	host := fakeContainerd(t)
	cfg := Config{Root: t.TempDir(), Containerd: containerdAuto}
	if got, err := choose(ctx, cfg, host, zap.NewNop()); err != nil || string(got) != host {
		t.Errorf("at first: %q, %v", got, err)
	}
	if got, err := choose(ctx, cfg, host+".missing", zap.NewNop()); err != nil || string(got) != host {
		t.Errorf("when it is away later: %q, %v", got, err)
	}
}

// TestAContainerdThatIsNotThereYet: at a boot it may come after podd.
func TestAContainerdThatIsNotThereYet(t *testing.T) {
	dir := shortDir(t)
	d := &podd{log: zap.NewNop()}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.await(ctx, dir+"/c.sock"); err == nil || !strings.Contains(err.Error(), "reach containerd at "+dir+"/c.sock") {
		t.Errorf("one that does not come: %v", err)
	}
	found := make(chan error, 1)
	go func() { found <- d.await(t.Context(), dir+"/c.sock") }()
	serveContainerd(t, dir)
	if err := <-found; err != nil {
		t.Errorf("one that comes: %v", err)
	}
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func fakeContainerd(t *testing.T) (socket string) {
	t.Helper()
	return serveContainerd(t, shortDir(t))
}

// serveContainerd answers as far as choose and await ask.
func serveContainerd(t *testing.T, dir string) (socket string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "unix", dir+"/c.sock")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return dir + "/c.sock"
}

func TestUnion(t *testing.T) {
	got := union(
		[]pod.Key{{UID: "b", Namespace: "ns", Name: "web"}},
		nil,
		[]pod.Key{{UID: "a"}, {UID: "b"}},
		[]pod.Key{{UID: "a", Namespace: "ns", Name: "db"}},
	)
	want := []pod.Key{{UID: "a", Namespace: "ns", Name: "db"}, {UID: "b", Namespace: "ns", Name: "web"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
