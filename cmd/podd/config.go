package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// defaultConfigFile is read if it exists; one named by --config has to.
const defaultConfigFile = "/etc/podd/config.yaml"

// Config is podd's configuration: the keys of its file. Every key but runtimes is
// also a flag of the same name; keys lists them.
type Config struct {
	Root                string             `json:"root"`
	RunDir              string             `json:"run-dir"`
	Listen              []string           `json:"listen"`
	TLSCert             string             `json:"tls-cert-file"`
	TLSKey              string             `json:"tls-private-key-file"`
	ClientCA            string             `json:"client-ca-file"`
	Manifests           string             `json:"manifests"`
	LogDir              string             `json:"log-dir"`
	LogLinksDir         string             `json:"log-links-dir"`
	LogMaxSize          string             `json:"log-max-size"`
	LogMaxFiles         int                `json:"log-max-files"`
	LogInstances        int                `json:"log-instances"`
	LogMaxAge           string             `json:"finished-pod-log-max-age"`
	FinishedTTL         string             `json:"finished-pod-ttl"`
	MaxFinished         int                `json:"max-finished-pods"`
	ImageGCHigh         int                `json:"image-gc-high-threshold"`
	ImageGCLow          int                `json:"image-gc-low-threshold"`
	ImageMinAge         string             `json:"image-minimum-gc-age"`
	ImageMaxAge         string             `json:"image-maximum-gc-age"`
	MaxPulls            int                `json:"max-parallel-image-pulls"`
	PullTimeout         string             `json:"image-pull-progress-timeout"`
	MetricsListen       string             `json:"metrics-listen"`
	Containerd          string             `json:"containerd"`
	ContainerdNamespace string             `json:"containerd-namespace"`
	BundleDir           string             `json:"bundle-dir"`
	CgroupDriver        string             `json:"cgroup-driver"`
	CgroupRoot          string             `json:"cgroup-root"`
	SeccompDefault      string             `json:"seccomp-default"`
	CNIConfDir          string             `json:"cni-conf-dir"`
	CNIBinDir           string             `json:"cni-bin-dir"`
	PodCIDR             string             `json:"pod-cidr"`
	NodeName            string             `json:"node-name"`
	MaxPods             int                `json:"max-pods"`
	MaxRestart          string             `json:"max-container-restart-period"`
	RegistryConfigDir   string             `json:"registry-config-dir"`
	RegistryAuthFile    string             `json:"registry-auth-file"`
	ProviderConfig      string             `json:"image-credential-provider-config"`
	ProviderBinDir      string             `json:"image-credential-provider-bin-dir"`
	ShutdownGrace       string             `json:"shutdown-grace-period"`
	ShutdownCritical    string             `json:"shutdown-grace-period-critical-pods"`
	LogLevel            string             `json:"log-level"`
	Runtimes            map[string]Runtime `json:"runtimes"`
}

// Runtime is an OCI runtime.
type Runtime struct {
	// Path of its program; a bare name is looked for in the bundle, then in $PATH.
	Path string `json:"path"`
}

// The values of seccomp-default.
const (
	seccompRuntimeDefault = "RuntimeDefault"
	seccompUnconfined     = "Unconfined"
)

// The values of containerd that are no socket.
const (
	containerdAuto    = "auto"
	containerdManaged = "managed"
)

// defaultRuntime is what containers without a RuntimeClass run by.
const defaultRuntime = "runc"

func defaultConfig() Config {
	return Config{
		Root:                "/var/lib/podd",
		RunDir:              "/run/podd",
		Listen:              []string{"unix:///run/podd/podd.sock"},
		Manifests:           "/etc/podd/manifests",
		LogDir:              "/var/log/pods",
		LogLinksDir:         "/var/log/containers",
		LogMaxSize:          "10Mi",
		LogMaxFiles:         5,
		LogInstances:        2,
		LogMaxAge:           "0s",
		FinishedTTL:         "0s",
		MaxFinished:         1000,
		MaxPulls:            3,
		PullTimeout:         "5m",
		ImageGCHigh:         85,
		ImageGCLow:          80,
		ImageMinAge:         "2m",
		ImageMaxAge:         "0s",
		MetricsListen:       "127.0.0.1:9471",
		Containerd:          containerdAuto,
		ContainerdNamespace: "podd",
		CgroupDriver:        cgroupAuto,
		RegistryConfigDir:   "/etc/containerd/certs.d",
		SeccompDefault:      seccompRuntimeDefault,
		CNIConfDir:          "/etc/cni/net.d",
		PodCIDR:             "10.88.0.0/16",
		MaxPods:             110,
		MaxRestart:          "5m",
		ShutdownGrace:       "90s",
		ShutdownCritical:    "30s",
		LogLevel:            "info",
		Runtimes:            map[string]Runtime{defaultRuntime: {Path: defaultRuntime}},
	}
}

// key is a key of the configuration that is also a flag.
type key struct {
	name, usage string
	// field is a *string, *int or *[]string in the configuration.
	field func(*Config) any
}

func keys() []key {
	return []key{
		{"root", "directory of everything durable", func(c *Config) any { return &c.Root }},
		{"run-dir", "directory of everything volatile: sockets, network namespaces", func(c *Config) any { return &c.RunDir }},
		{"listen", "control endpoint, unix:///PATH or tcp://HOST:PORT; may be repeated (default unix://RUN-DIR/podd.sock)", func(c *Config) any { return &c.Listen }},
		{"tls-cert-file", "certificate that podd shows on tcp:// endpoints, PEM, read again as it is replaced", func(c *Config) any { return &c.TLSCert }},
		{"tls-private-key-file", "its private key", func(c *Config) any { return &c.TLSKey }},
		{"client-ca-file", "certificates of who may sign those of callers over tcp://; a caller with such a certificate may do everything", func(c *Config) any { return &c.ClientCA }},
		{"manifests", "directory of manifests", func(c *Config) any { return &c.Manifests }},
		{"log-dir", "directory of the containers' logs", func(c *Config) any { return &c.LogDir }},
		{"log-links-dir", "directory of links to the logs, empty for none; none too when only --log-dir is given", func(c *Config) any { return &c.LogLinksDir }},
		{"log-max-size", "size at which a container's log is rotated, unless its pod's annotation podd.io/log-max-size says otherwise", func(c *Config) any { return &c.LogMaxSize }},
		{"log-max-files", "files of a container's log that are kept, the present one included, unless its pod's annotation podd.io/log-max-files says otherwise", func(c *Config) any { return &c.LogMaxFiles }},
		{"log-instances", "instances of a container whose logs are kept, the present one included", func(c *Config) any { return &c.LogInstances }},
		{"finished-pod-log-max-age", "how long the logs of a finished pod are kept while there is room, such as 168h; 0s for as long as the pod is there", func(c *Config) any { return &c.LogMaxAge }},
		{"finished-pod-ttl", "how long a finished pod stays, unless its annotation podd.io/finished-pod-ttl says otherwise; 0s until it is deleted", func(c *Config) any { return &c.FinishedTTL }},
		{"max-finished-pods", "how many finished pods stay, those that finished last; 0 for all", func(c *Config) any { return &c.MaxFinished }},
		{"image-gc-high-threshold", "percent of a file system's use from which on images that nobody needs are removed, and on that of log-dir the logs of finished pods; 100 for never", func(c *Config) any { return &c.ImageGCHigh }},
		{"image-gc-low-threshold", "percent of use down to which they are removed then", func(c *Config) any { return &c.ImageGCLow }},
		{"image-minimum-gc-age", "how long nobody has to have needed an image, or a pod has to be finished, before image or logs are removed for want of room", func(c *Config) any { return &c.ImageMinAge }},
		{"image-maximum-gc-age", "how long an image is kept that nobody needs although there is room; 0s for ever", func(c *Config) any { return &c.ImageMaxAge }},
		{"max-parallel-image-pulls", "how many images are pulled at once; the others wait, by their pods' priority", func(c *Config) any { return &c.MaxPulls }},
		{"image-pull-progress-timeout", "how long an image's pull may go on with next to nothing coming", func(c *Config) any { return &c.PullTimeout }},
		{"metrics-listen", "address of metrics and health, HOST:PORT; empty for none", func(c *Config) any { return &c.MetricsListen }},
		{"containerd", "auto, managed, or the socket of a containerd", func(c *Config) any { return &c.Containerd }},
		{"containerd-namespace", "podd's namespace in containerd", func(c *Config) any { return &c.ContainerdNamespace }},
		{"bundle-dir", "directory of containerd, runc and CNI plugins (default bundle/ beside podd, then ../lib/podd/bundle, then $PATH)", func(c *Config) any { return &c.BundleDir }},
		{"cgroup-driver", "who makes the pods' cgroups: systemd, as slices and scopes, or cgroupfs, which is podd itself; auto is systemd where it is PID 1 on cgroup v2", func(c *Config) any { return &c.CgroupDriver }},
		{"cgroup-root", "parent of the pods' cgroups: a cgroup's path, or a slice's name with systemd's driver (default /podd, or podd.slice)", func(c *Config) any { return &c.CgroupRoot }},
		{"seccomp-default", "seccomp profile of containers that name none: RuntimeDefault or Unconfined", func(c *Config) any { return &c.SeccompDefault }},
		{"cni-conf-dir", "directory of CNI configurations; the first conflist in it is used", func(c *Config) any { return &c.CNIConfDir }},
		{"cni-bin-dir", "directory of CNI plugins (default the bundle, then /opt/cni/bin)", func(c *Config) any { return &c.CNIBinDir }},
		{"pod-cidr", "addresses of the built-in pod network", func(c *Config) any { return &c.PodCIDR }},
		{"node-name", "name of this node (default the host name)", func(c *Config) any { return &c.NodeName }},
		{"max-pods", "how many pods this node takes", func(c *Config) any { return &c.MaxPods }},
		{"registry-config-dir", "directory of hosts.toml files by registry, as containerd's config_path", func(c *Config) any { return &c.RegistryConfigDir }},
		{"registry-auth-file", "Docker configuration file with the node's credentials (default <root>/config.json, else $HOME/.docker/config.json)", func(c *Config) any { return &c.RegistryAuthFile }},
		{"image-credential-provider-config", "file or directory that configures credential provider plugins, as a kubelet's", func(c *Config) any { return &c.ProviderConfig }},
		{"image-credential-provider-bin-dir", "directory of the credential provider plugins", func(c *Config) any { return &c.ProviderBinDir }},
		{"max-container-restart-period", "how long podd waits at most before it tries again what failed, unless a pod's annotation podd.io/max-container-restart-period says otherwise", func(c *Config) any { return &c.MaxRestart }},
		{"shutdown-grace-period", "how long the machine's end waits for that of all pods; 0s for not at all", func(c *Config) any { return &c.ShutdownGrace }},
		{"shutdown-grace-period-critical-pods", "the last part of shutdown-grace-period, for critical pods alone; 0s to end them with the others", func(c *Config) any { return &c.ShutdownCritical }},
		{"log-level", "debug, info, warn or error", func(c *Config) any { return &c.LogLevel }},
	}
}

// addFlags makes a flag of every key. They write to c, whose values are their
// defaults.
func addFlags(flags *pflag.FlagSet, c *Config) {
	for _, k := range keys() {
		switch field := k.field(c).(type) {
		case *string:
			flags.StringVar(field, k.name, *field, k.usage)
		case *int:
			flags.IntVar(field, k.name, *field, k.usage)
		case *[]string:
			flags.StringArrayVar(field, k.name, *field, k.usage)
		}
	}
}

// load reads the configuration: defaults, then the file, then the flags that
// were given, which have been parsed into flagged. The file may be missing if it
// was not asked for by name.
func load(file string, named bool, flags *pflag.FlagSet, flagged Config) (Config, error) {
	c := defaultConfig()
	text, err := os.ReadFile(file)
	if err != nil && (named || !errors.Is(err, fs.ErrNotExist)) {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		return Config{}, fmt.Errorf("read the configuration %s: %w", file, err)
	}
	var inFile map[string]any
	if err := yaml.Unmarshal(text, &inFile); err != nil {
		return Config{}, fmt.Errorf("read the configuration %s: %w", file, err)
	}
	given := func(name string) bool {
		_, ok := inFile[name]
		return ok || flags.Changed(name)
	}
	overlay(&c, &flagged, flags.Changed)
	complete(&c, given)
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", file, err)
	}
	return c, nil
}

// overlay copies what was changed from one configuration over another.
func overlay(to, from *Config, changed func(name string) bool) {
	for _, k := range keys() {
		if !changed(k.name) {
			continue
		}
		switch field := k.field(to).(type) {
		case *string:
			*field = *k.field(from).(*string)
		case *int:
			*field = *k.field(from).(*int)
		case *[]string:
			*field = *k.field(from).(*[]string)
		}
	}
}

// complete fills in the defaults that depend on other keys.
func complete(c *Config, given func(name string) bool) {
	if !given("listen") {
		c.Listen = []string{"unix://" + filepath.Join(c.RunDir, "podd.sock")}
	}
	if given("log-dir") && !given("log-links-dir") {
		c.LogLinksDir = ""
	}
}
