package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zaptest"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/daemon"
	"github.com/podd-io/podd/runtime/registry"
)

// private is a configuration that shares nothing with any other podd.
func private(t *testing.T) Config {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	name := filepath.Base(dir)
	cfg := defaultConfig()
	cfg.Root, cfg.RunDir, cfg.LogDir = dir+"/root", dir+"/run", dir+"/log"
	cfg.Listen = []string{"unix://" + dir + "/run/podd.sock"}
	cfg.Manifests, cfg.LogLinksDir, cfg.CNIConfDir = dir+"/manifests", "", dir+"/net.d"
	cfg.MetricsListen = "127.0.0.1:0"
	cfg.Containerd, cfg.ContainerdNamespace = containerdManaged, name
	cfg.CgroupRoot = "/" + name
	cfg.PodCIDR = "10.211.0.0/24"
	if cfg.BundleDir, err = filepath.Abs("../../bin/bundle"); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestPartsOnRealContainerd: what was assembled sees an empty world, and the
// host.
func TestPartsOnRealContainerd(t *testing.T) {
	ctx, cfg, log := t.Context(), private(t), zaptest.NewLogger(t)
	cfg.RegistryConfigDir = t.TempDir()
	hosts := filepath.Join(cfg.RegistryConfigDir, "_default", "hosts.toml")
	if err := errors.Join(os.Mkdir(filepath.Dir(hosts), 0o755), os.WriteFile(hosts, []byte("="), 0o600)); err != nil {
		t.Fatal(err)
	}
	bundle, err := daemon.FindBundle(cfg.BundleDir)
	if err != nil {
		t.Fatal(err)
	}
	back := newBackground(ctx)
	defer func() {
		if err := back.end(); err != nil {
			t.Error(err)
		}
	}()
	socket, err := back.keepContainerd(ctx, cfg, bundle, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	p, err := assemble(ctx, cfg, socket, bundle, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (runtime.Images{Client: p.containers}).Pull(ctx, pod.PullConfig{Ref: "registry.test/app"}); err == nil || !strings.Contains(err.Error(), hosts) {
		t.Errorf("a broken %s: %v", hosts, err)
	}
	defer func() {
		if err := p.containers.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.containers.Adopt(ctx); err != nil {
		t.Error(err)
	}
	seen, err := p.world().Observe(ctx, pod.Key{UID: "u", Namespace: "n", Name: "p"}, []string{"busybox"})
	if err != nil {
		t.Fatal(err)
	}
	seen.Images, seen.Volumes = nil, nil // empty or nil: the same
	if diff := cmp.Diff(pod.Observed{}, seen); diff != "" {
		t.Errorf("a pod that does not exist: %s", diff)
	}
	if pods, err := p.world().Pods(ctx); err != nil || len(pods) != 0 {
		t.Errorf("pods %v, %v", pods, err)
	}
	f := facts{host: p.host, log: log}
	if err := f.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if got := f.get(); got.Name == "" || got.Hostname == "" || len(got.IPs) == 0 || got.Allocatable.Cpu().IsZero() {
		t.Errorf("facts %+v", got)
	}
}

func TestRegistriesAsConfigured(t *testing.T) {
	cfg := private(t)
	t.Setenv("HOME", "/home/me")
	cfg.RegistryConfigDir, cfg.RegistryAuthFile = "/certs", "/auth.json"
	got, err := registryConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Config{
		HostsDir: "/certs", AuthFile: "/auth.json", AuthFiles: []string{cfg.Root + "/config.json", "/home/me/.docker/config.json"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	t.Setenv("HOME", "")
	if got, err := registryConfig(cfg); err != nil || got.AuthFiles[1] != "/root/.docker/config.json" {
		t.Errorf("without $HOME: %q, %v", got.AuthFiles, err)
	}
}

func TestABrokenContainerdEndsTheStart(t *testing.T) {
	ctx, cfg := t.Context(), private(t)
	back := newBackground(ctx)
	bundle := daemon.Bundle{Containerd: "/bin/false"}
	if _, err := back.keepContainerd(ctx, cfg, bundle, nil, zaptest.NewLogger(t)); err == nil {
		t.Error("no error")
	}
	if err := back.end(); err == nil {
		t.Error("the end does not tell why")
	}
}
