package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"github.com/podd-io/podd/cni"
	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/cgroup"
	"github.com/podd-io/podd/runtime/daemon"
	"github.com/podd-io/podd/runtime/host"
	"github.com/podd-io/podd/runtime/logfile"
	"github.com/podd-io/podd/runtime/registry"
	"github.com/podd-io/podd/runtime/sandbox"
	"github.com/podd-io/podd/runtime/stats"
	"github.com/podd-io/podd/runtime/volume"
	"github.com/podd-io/podd/systemd"
)

// parts are what does things to the world for the agent.
type parts struct {
	containers *runtime.Client
	sandboxes  *sandbox.Sandboxes
	network    *cni.Network
	volumes    *volume.Volumes
	cgroups    *cgroup.Cgroups
	logs       *logfile.Logs
	host       *host.Host
	usage      *stats.Reader
	// ociRuntime is its version; empty when a containerd that is not podd's
	// chooses the program.
	ociRuntime string
}

// assemble connects to containerd and makes the parts. found is told of images
// that are not sound. The caller closes containers.
func assemble(ctx context.Context, cfg Config, socket string, bundle daemon.Bundle, found func(pod.ImageCheck), log *zap.Logger) (*parts, error) {
	p := &parts{
		volumes: volume.New(cfg.Root, log),
		cgroups: cgroup.New(runtime.CgroupRoot(cfg.CgroupRoot), systemd.Slices{}, log),
		logs:    logfile.New(logConfig(cfg), log),
	}
	var err error
	if p.host, err = host.New(p.hostConfig(cfg)); err != nil {
		return nil, err
	}
	if socket == containerdConfig(cfg).Address() {
		p.ociRuntime = bundle.RuntimeVersion(ctx)
	}
	if p.network, err = cni.New(networkConfig(cfg, bundle), log); err != nil {
		return nil, err
	}
	registries, err := registryConfig(cfg)
	if err != nil {
		return nil, err
	}
	rc := p.runtimeConfig(cfg, socket)
	rc.Checked, rc.Registries = found, registry.New(registries, log)
	if p.containers, err = runtime.Connect(ctx, rc, log); err != nil {
		return nil, err
	}
	p.sandboxes = sandbox.New(p.containers, sandbox.Config{
		CgroupRoot: runtime.CgroupRoot(cfg.CgroupRoot),
		LogDir:     cfg.LogDir,
		Namespace:  p.network.Namespace,
	}, log)
	p.usage, err = p.newUsage(cfg)
	return p, err
}

// hostConfig asks containers, which are there once the parts are assembled.
func (p *parts) hostConfig(cfg Config) host.Config {
	return host.Config{
		Name: cfg.NodeName, Root: cfg.Root, MaxPods: int64(cfg.MaxPods), Version: readBuild().Version,
		Since: chosenAt(cfg.Root),
		Ready: func(ctx context.Context) error { return p.containers.Ready(ctx) },
		ContainerRuntime: func(ctx context.Context) string {
			version, err := p.containers.Version(ctx)
			if err != nil {
				version = "unknown"
			}
			return "containerd://" + version
		},
	}
}

func networkConfig(cfg Config, bundle daemon.Bundle) cni.Config {
	// The last one is where Debian's package has them.
	dirs := []string{bundle.Dir, "/opt/cni/bin", "/usr/lib/cni"}
	if cfg.CNIBinDir != "" {
		dirs = []string{cfg.CNIBinDir}
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return dir == "" })
	return cni.Config{
		Root: cfg.Root, RunDir: cfg.RunDir, ConfDir: cfg.CNIConfDir, BinDirs: dirs,
		PodCIDR: netip.MustParsePrefix(cfg.PodCIDR), // it was checked
	}
}

func logConfig(cfg Config) logfile.Config {
	size, _ := pod.ParseLogSize(cfg.LogMaxSize) // it was checked
	return logfile.Config{
		Dir: cfg.LogDir, Links: cfg.LogLinksDir, Instances: cfg.LogInstances,
		Limits: pod.LogLimits{MaxSize: size, MaxFiles: cfg.LogMaxFiles},
	}
}

// registryConfig reads the plugins' configuration.
func registryConfig(cfg Config) (registry.Config, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/root" // a unit of systemd's has no $HOME
	}
	files := []string{filepath.Join(cfg.Root, "config.json"), filepath.Join(home, ".docker", "config.json")}
	providers, err := registry.LoadProviders(cfg.ProviderConfig, cfg.ProviderBinDir)
	if err != nil {
		return registry.Config{}, fmt.Errorf("image-credential-provider-config: %w", err)
	}
	return registry.Config{
		HostsDir: cfg.RegistryConfigDir, AuthFile: cfg.RegistryAuthFile, AuthFiles: files, Providers: providers,
	}, nil
}

func (p *parts) runtimeConfig(cfg Config, socket string) runtime.Config {
	program := cfg.Runtimes[defaultRuntime].Path
	if program == defaultRuntime {
		program = "" // containerd's own, or the bundle's, which comes first in its $PATH
	}
	return runtime.Config{
		Address: socket, Namespace: cfg.ContainerdNamespace, OCIRuntime: program,
		Root: cfg.Root, RunDir: cfg.RunDir, LogDir: cfg.LogDir, CgroupRoot: runtime.CgroupRoot(cfg.CgroupRoot),
		MaxPulls: int64(cfg.MaxPulls), PullProgressTimeout: age(cfg.PullTimeout),
		VolumePath: p.volumes.Path,
		OpenLog:    func(path string, limits pod.LogLimits) (runtime.Log, error) { return p.logs.Open(path, limits) },
		OOMKilled:  cgroup.OOMKilled, EmptyCgroup: cgroup.Empty,
		MakeGroup: p.cgroups.MakeGroup, RemoveGroup: p.cgroups.RemoveGroup,
	}
}

func (p *parts) world() world {
	return world{containers: p.containers, network: p.network, volumes: p.volumes, cgroups: p.cgroups, logs: p.logs}
}
