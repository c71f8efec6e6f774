package cni

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"

	"github.com/podd-io/podd/pod"
)

// hash is short enough that a bridge's name stays within IFNAMSIZ.
func hash(root string) string {
	sum := sha256.Sum256([]byte(root))
	return hex.EncodeToString(sum[:4])
}

// conflist is the first one of the host's, else the built-in bridge.
func (n *Network) conflist() ([]byte, error) {
	files, err := libcni.ConfFiles(n.cfg.ConfDir, []string{".conflist"})
	if err != nil {
		return nil, fmt.Errorf("look for a conflist in %s: %w", n.cfg.ConfDir, err)
	}
	if len(files) == 0 {
		n.builtin = true
		return n.bridgeConflist()
	}
	slices.Sort(files)
	text, err := os.ReadFile(files[0])
	if err != nil {
		return nil, fmt.Errorf("read CNI configuration: %w", err)
	}
	return text, nil
}

// bridgeConflist: addresses by host-local; masquerade and host ports are our
// own (rules.go), so that no iptables program is needed and one table holds
// all that is ours.
func (n *Network) bridgeConflist() ([]byte, error) {
	return json.Marshal(map[string]any{
		"cniVersion": "1.0.0",
		"name":       n.name,
		"plugins": []any{map[string]any{
			"type": "bridge", "bridge": n.name, "isGateway": true, "hairpinMode": true,
			"ipam": map[string]any{
				"type": "host-local", "dataDir": n.dir("cni", "leases"),
				"ranges": []any{[]any{map[string]any{"subnet": n.cfg.PodCIDR.String()}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	})
}

// options are what a pod tells the plugins.
func (n *Network) options(cfg pod.NetworkConfig) []gocni.NamespaceOpts {
	opts := []gocni.NamespaceOpts{gocni.WithLabels(map[string]string{
		"IgnoreUnknown":              "1",
		"K8S_POD_NAMESPACE":          cfg.Namespace,
		"K8S_POD_NAME":               cfg.Name,
		"K8S_POD_INFRA_CONTAINER_ID": cfg.SandboxID,
		"K8S_POD_UID":                string(cfg.UID),
	})}
	if n.builtin || len(cfg.HostPorts) == 0 {
		return opts
	}
	ports := make([]gocni.PortMapping, 0, len(cfg.HostPorts))
	for _, p := range cfg.HostPorts {
		ports = append(ports, gocni.PortMapping{
			HostPort: p.HostPort, ContainerPort: p.ContainerPort,
			Protocol: string(p.Protocol), HostIP: p.HostIP,
		})
	}
	return append(opts, gocni.WithCapabilityPortMap(ports))
}

// addresses are those of the first interface, IPv4 first.
func addresses(result *gocni.Result) []string {
	var v4, v6 []string
	for name, iface := range result.Interfaces {
		if name == "lo" || iface.Sandbox == "" {
			continue
		}
		for _, c := range iface.IPConfigs {
			if isV4(c.IP) {
				v4 = append(v4, c.IP.String())
			} else {
				v6 = append(v6, c.IP.String())
			}
		}
	}
	return append(v4, v6...)
}

func isV4(ip net.IP) bool { return ip.To4() != nil }
