package daemon

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"go.uber.org/zap"
)

// maxSocketPath is what fits into sockaddr_un with its final zero. containerd
// adds ".ttrpc" to its socket's path for a second one.
const maxSocketPath = 107 - len(".ttrpc")

// Config is what a managed containerd needs to know. Two with different Roots
// and RunDirs have nothing in common.
type Config struct {
	// Root is where containerd keeps content, snapshots and metadata.
	Root string
	// RunDir is where everything volatile is:
	//
	//	config.toml      generated at every start
	//	containerd.log   what it says, with one older file, containerd.log.1
	//	containerd.sock  its socket, and containerd.sock.ttrpc
	//	state/           its state: bundles and mounts of running tasks
	RunDir string
	Bundle Bundle
	// Damaged is told when a damaged store was set aside; nil for nobody.
	Damaged func(what string)
	Log     *zap.Logger
}

// Address is the path of containerd's socket.
func (c Config) Address() string { return filepath.Join(c.RunDir, "containerd.sock") }

// LogFile is what containerd writes its own log to.
func (c Config) LogFile() string { return filepath.Join(c.RunDir, "containerd.log") }

func (c Config) stateDir() string { return filepath.Join(c.RunDir, "state") }

func (c Config) configFile() string { return filepath.Join(c.RunDir, "config.toml") }

// Check tells what is wrong with the configuration.
func (c Config) Check() error {
	if !filepath.IsAbs(c.Root) || !filepath.IsAbs(c.RunDir) {
		return fmt.Errorf("containerd's root %q and run directory %q have to be absolute paths", c.Root, c.RunDir)
	}
	if n := len(c.Address()); n > maxSocketPath {
		return fmt.Errorf("containerd's socket %s has a path of %d bytes, %d are allowed", c.Address(), n, maxSocketPath)
	}
	return nil
}

// unused are the plugins that podd has no use for. Each costs memory, start-up
// time or, as the CRI plugin does for its statistics, processor time. The task
// monitor is among them since the shims tell of OOM kills themselves. The opt
// plugin would put /opt/containerd before the bundle in $PATH. Naming one that a
// containerd does not have does no harm.
func unused() []string {
	return []string{
		"io.containerd.cri.v1.images",
		"io.containerd.cri.v1.runtime",
		"io.containerd.differ.v1.erofs",
		"io.containerd.grpc.v1.cri",
		"io.containerd.http.v1.pprof",
		"io.containerd.image-verifier.v1.bindir",
		"io.containerd.internal.v1.opt",
		"io.containerd.internal.v1.tracing",
		"io.containerd.metrics.v1.grpc-otel",
		"io.containerd.metrics.v1.grpc-prometheus",
		"io.containerd.monitor.container.v1.restart",
		"io.containerd.monitor.task.v1.cgroups",
		"io.containerd.mount-handler.v1.erofs",
		"io.containerd.nri.v1.nri",
		"io.containerd.snapshotter.v1.blockfile",
		"io.containerd.snapshotter.v1.btrfs",
		"io.containerd.snapshotter.v1.devmapper",
		"io.containerd.snapshotter.v1.erofs",
		"io.containerd.snapshotter.v1.zfs",
		"io.containerd.tracing.processor.v1.otlp",
	}
}

// required are the plugins without which containerd is of no use. It would serve
// without them otherwise, and say that it is well.
func required() []string {
	return []string{
		"io.containerd.content.v1.content",
		"io.containerd.gc.v1.scheduler",
		"io.containerd.grpc.v1.containers",
		"io.containerd.grpc.v1.events",
		"io.containerd.grpc.v1.images",
		"io.containerd.grpc.v1.leases",
		"io.containerd.grpc.v1.snapshots",
		"io.containerd.grpc.v1.tasks",
		"io.containerd.metadata.v1.bolt",
		"io.containerd.runtime.v2.task",
	}
}

// toml is containerd's configuration, in the format of containerd 2.0 and
// later. The first collection of garbage waits until the pods that a boot
// brings are up: it would hold them up.
func (c Config) toml() []byte {
	return fmt.Appendf(nil, `# Made by podd at every start of containerd: changes are lost.
version = 3
root = %s
state = %s
imports = []
required_plugins = %s
disabled_plugins = %s

[grpc]
  address = %s

[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "10s"
`, quote(c.Root), quote(c.stateDir()), array(required()), array(unused()), quote(c.Address()))
}

// array makes a TOML array of strings, one a line.
func array(values []string) string {
	var b strings.Builder
	b.WriteString("[\n")
	for _, v := range values {
		b.WriteString("  " + quote(v) + ",\n")
	}
	b.WriteString("]")
	return b.String()
}

// quote makes a TOML string: every escape of a JSON string is one of TOML's too.
func quote(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(quoted)
}
