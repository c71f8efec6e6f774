package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/registry"
)

// maxSocketPath is what fits into sockaddr_un with its final zero.
const maxSocketPath = 107

// check tells everything that is wrong with the configuration, by key.
func (c Config) check() error {
	var errs []error
	wrong := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	wrong("root", absolute(c.Root))
	wrong("run-dir", absolute(c.RunDir))
	wrong("run-dir", apart(c.RunDir, c.Root))
	wrong("run-dir", c.checkRoom())
	wrong("manifests", absoluteIfSet(c.Manifests))
	wrong("log-dir", absolute(c.LogDir))
	wrong("log-links-dir", absoluteIfSet(c.LogLinksDir))
	wrong("log-max-size", checkLogSize(c.LogMaxSize))
	wrong("log-max-files", positive(c.LogMaxFiles))
	wrong("log-instances", positive(c.LogInstances))
	wrong("finished-pod-log-max-age", checkAge(c.LogMaxAge))
	wrong("finished-pod-ttl", checkAge(c.FinishedTTL))
	wrong("max-finished-pods", notNegative(c.MaxFinished))
	wrong("image-gc-high-threshold", percent(c.ImageGCHigh))
	wrong("image-gc-low-threshold", percent(c.ImageGCLow))
	wrong("image-gc-low-threshold", below(c.ImageGCLow, c.ImageGCHigh))
	wrong("image-minimum-gc-age", checkAge(c.ImageMinAge))
	wrong("image-maximum-gc-age", checkAge(c.ImageMaxAge))
	wrong("max-parallel-image-pulls", positive(c.MaxPulls))
	wrong("image-pull-progress-timeout", checkTimeout(c.PullTimeout))
	wrong("listen", checkListen(c.Listen))
	wrong("tls-cert-file", absoluteIfSet(c.TLSCert))
	wrong("tls-private-key-file", absoluteIfSet(c.TLSKey))
	wrong("client-ca-file", absoluteIfSet(c.ClientCA))
	wrong("listen", c.checkTCP())
	wrong("metrics-listen", checkHostPort(c.MetricsListen))
	wrong("containerd", checkContainerd(c.Containerd))
	wrong("containerd-namespace", checkNamespace(c.ContainerdNamespace))
	wrong("bundle-dir", absoluteIfSet(c.BundleDir))
	wrong("cgroup-driver", oneOf(c.CgroupDriver, cgroupAuto, cgroupSystemd, cgroupFS))
	wrong("cgroup-root", c.checkCgroupRoot())
	wrong("seccomp-default", oneOf(c.SeccompDefault, seccompRuntimeDefault, seccompUnconfined))
	wrong("cni-conf-dir", absoluteIfSet(c.CNIConfDir))
	wrong("cni-bin-dir", absoluteIfSet(c.CNIBinDir))
	wrong("pod-cidr", checkCIDR(c.PodCIDR))
	wrong("node-name", checkNodeName(c.NodeName))
	wrong("max-pods", positive(c.MaxPods))
	wrong("registry-config-dir", absoluteIfSet(c.RegistryConfigDir))
	wrong("registry-auth-file", absoluteIfSet(c.RegistryAuthFile))
	wrong("image-credential-provider-config", absoluteIfSet(c.ProviderConfig))
	wrong("image-credential-provider-bin-dir", absoluteIfSet(c.ProviderBinDir))
	wrong("image-credential-provider-config", c.checkProviders())
	wrong("max-container-restart-period", checkRestartPeriod(c.MaxRestart))
	wrong("shutdown-grace-period", checkAge(c.ShutdownGrace))
	wrong("shutdown-grace-period-critical-pods", checkAge(c.ShutdownCritical))
	wrong("shutdown-grace-period-critical-pods", c.checkShutdown())
	wrong("log-level", oneOf(c.LogLevel, "debug", "info", "warn", "error"))
	wrong("runtimes", checkRuntimes(c.Runtimes))
	return errors.Join(errs...)
}

func absolute(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) == "/" {
		return fmt.Errorf("%q is not an absolute path of a directory", path)
	}
	return nil
}

func absoluteIfSet(path string) error {
	if path == "" {
		return nil
	}
	return absolute(path)
}

func checkLogSize(text string) error {
	_, err := pod.ParseLogSize(text)
	return err
}

// apart: what is volatile is not to be in, or around, what is durable.
func apart(runDir, root string) error {
	a, b := filepath.Clean(runDir)+"/", filepath.Clean(root)+"/"
	if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
		return fmt.Errorf("%s and the root %s overlap", runDir, root)
	}
	return nil
}

// checkRoom: a managed containerd's sockets are in the run directory too.
func (c Config) checkRoom() error {
	if !filepath.IsAbs(c.Root) || !filepath.IsAbs(c.RunDir) {
		return nil // which was told
	}
	return containerdConfig(c).Check()
}

// checkProviders reads what configures the plugins: they are found or missed at
// podd's start, not at the first pull.
func (c Config) checkProviders() error {
	if (c.ProviderConfig == "") != (c.ProviderBinDir == "") {
		return errors.New("image-credential-provider-config and image-credential-provider-bin-dir go together")
	}
	_, err := registry.LoadProviders(c.ProviderConfig, c.ProviderBinDir)
	return err
}

func positive(n int) error {
	if n <= 0 {
		return fmt.Errorf("%d is not a positive number", n)
	}
	return nil
}

func notNegative(n int) error {
	if n < 0 {
		return fmt.Errorf("%d is less than 0", n)
	}
	return nil
}

func percent(n int) error {
	if n < 0 || n > 100 {
		return fmt.Errorf("%d is not a percentage from 0 to 100", n)
	}
	return nil
}

// below is a kubelet's rule too.
func below(low, high int) error {
	if low >= high {
		return fmt.Errorf("%d is not below image-gc-high-threshold, which is %d", low, high)
	}
	return nil
}

func checkAge(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no duration, such as 30m or 168h", text)
	}
	return nil
}

// checkShutdown: the one is a part of the other.
func (c Config) checkShutdown() error {
	if total, critical := age(c.ShutdownGrace), age(c.ShutdownCritical); critical > total {
		return fmt.Errorf("%s is more than shutdown-grace-period, which is %s", critical, total)
	}
	return nil
}

func checkTimeout(text string) error {
	if d, err := time.ParseDuration(text); err == nil && d < time.Second {
		return fmt.Errorf("%q is less than a second", text)
	}
	return checkAge(text)
}

func checkRestartPeriod(text string) error {
	_, err := pod.ParseRestartPeriod(text)
	return err
}

// age is a duration that was checked.
func age(text string) time.Duration {
	d, _ := time.ParseDuration(text)
	return d
}

// collection is the policy that the configuration, which was checked, says.
func (c Config) collection() pod.CollectPolicy {
	p := pod.CollectPolicy{
		High: c.ImageGCHigh, Low: c.ImageGCLow,
		MinAge: age(c.ImageMinAge), MaxAge: age(c.ImageMaxAge), LogMaxAge: age(c.LogMaxAge),
	}
	if p.High == 100 {
		p.High = 0 // as in a kubelet, never
	}
	return p
}

// finished is the policy for finished pods that the configuration, which was
// checked, says.
func (c Config) finished() pod.FinishedPolicy {
	return pod.FinishedPolicy{TTL: age(c.FinishedTTL), Max: c.MaxFinished}
}

func oneOf(value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", "))
	}
	return nil
}

func checkListen(addresses []string) error {
	if len(addresses) == 0 {
		return errors.New("there has to be one at least")
	}
	for i, address := range addresses {
		if err := checkEndpoint(address); err != nil {
			return err
		}
		if slices.Contains(addresses[:i], address) {
			return fmt.Errorf("%q is there twice", address)
		}
	}
	return nil
}

func checkEndpoint(address string) error {
	if path, ok := strings.CutPrefix(address, unixScheme); ok {
		return checkSocket(path)
	}
	if hostPort, ok := strings.CutPrefix(address, tcpScheme); ok && hostPort != "" {
		return checkHostPort(hostPort)
	}
	return fmt.Errorf("%q is neither unix:///PATH nor tcp://HOST:PORT", address)
}

func checkSocket(path string) error {
	if err := absolute(path); err != nil {
		return err
	}
	if len(path) > maxSocketPath {
		return fmt.Errorf("the socket path %q has %d bytes, %d are allowed", path, len(path), maxSocketPath)
	}
	return nil
}

func checkHostPort(address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT: %w", address, err)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%q has no valid port", address)
	}
	return nil
}

func checkContainerd(value string) error {
	if value == containerdAuto || value == containerdManaged {
		return nil
	}
	if err := checkSocket(strings.TrimPrefix(value, "unix://")); err != nil {
		return fmt.Errorf("neither auto nor managed, and as a socket: %w", err)
	}
	return nil
}

// namespace is what containerd takes for one.
func checkNamespace(name string) error {
	valid := regexp.MustCompile(`^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$`)
	if len(name) > 76 || !valid.MatchString(name) {
		return fmt.Errorf("%q is not a containerd namespace: letters, digits, and single . _ - between them, 76 at most", name)
	}
	return nil
}

func checkCIDR(cidr string) error {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return fmt.Errorf("%q is not a range of addresses, such as 10.88.0.0/16", cidr)
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("%q has bits set outside its prefix: %s is meant?", cidr, prefix.Masked())
	}
	if prefix.Addr().BitLen()-prefix.Bits() < 3 {
		return fmt.Errorf("%q has no room for pods: it needs 8 addresses at least", cidr)
	}
	return nil
}

func checkNodeName(name string) error {
	if name == "" {
		return nil
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("%q: %s", name, strings.Join(problems, "; "))
	}
	return nil
}

func checkRuntimes(runtimes map[string]Runtime) error {
	for handler, r := range runtimes {
		if handler != defaultRuntime {
			return fmt.Errorf("not supported yet: %s: only %s is", handler, defaultRuntime)
		}
		if r.Path == "" {
			return fmt.Errorf("%s has no path", handler)
		}
	}
	return nil
}

// level is log-level, which was checked.
func (c Config) level() zapcore.Level {
	level, err := zapcore.ParseLevel(c.LogLevel)
	if err != nil {
		return zapcore.InfoLevel
	}
	return level
}
