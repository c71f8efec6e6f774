package runtime

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/podd-io/podd/pod"
)

// writeHosts writes the pod's /etc/hosts: for a hostNetwork pod the host's
// own, else one with the pod's addresses; hostAliases at the end of both. The
// file is written in place, since containers have it mounted.
func writeHosts(path string, cfg pod.ContainerConfig) error {
	text, err := hostsText(cfg)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

func hostsText(cfg pod.ContainerConfig) ([]byte, error) {
	var b bytes.Buffer
	if cfg.Pod.Spec.HostNetwork {
		host, err := os.ReadFile("/etc/hosts")
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.Write(host)
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n")
		for _, ip := range cfg.PodIPs {
			fmt.Fprintf(&b, "%s\t%s\n", ip, strings.Join(hostNames(cfg), "\t"))
		}
	}
	if len(cfg.Pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
	}
	for _, a := range cfg.Pod.Spec.HostAliases {
		fmt.Fprintf(&b, "%s\t%s\n", a.IP, strings.Join(a.Hostnames, "\t"))
	}
	return b.Bytes(), nil
}

// hostNames are the pod's names, the full one first if there is one.
func hostNames(cfg pod.ContainerConfig) []string {
	if cfg.Domain == "" {
		return []string{cfg.Hostname}
	}
	return []string{cfg.Hostname + "." + cfg.Domain, cfg.Hostname}
}
