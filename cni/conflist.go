package cni

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"

	"github.com/podd-io/podd/pod"
)

// hash is short enough that a bridge's name stays within IFNAMSIZ.
func hash(root string) string {
	sum := sha256.Sum256([]byte(root))
	return hex.EncodeToString(sum[:4])
}

// hostConflist is the first of the host's, or nil.
func hostConflist(dir string) ([]byte, error) {
	files, err := libcni.ConfFiles(dir, []string{".conflist"})
	if err != nil {
		return nil, fmt.Errorf("look for a conflist in %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, nil
	}
	path := slices.Min(files)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CNI configuration: %w", err)
	}
	if _, err := libcni.ConfListFromBytes(text); err != nil {
		return nil, fmt.Errorf("read CNI configuration %s: %w", path, err)
	}
	return text, nil
}

// conflist is what a pod is to be wired with now.
func (n *Network) conflist() (text []byte, builtin bool, err error) {
	if n.chosen != nil {
		return n.chosen, false, nil
	}
	text, err = n.bridgeConflist()
	return text, true, err
}

func (n *Network) leases() string { return filepath.Join(n.cfg.RunDir, "cni", "leases") }

// bridgeConflist: addresses by host-local; masquerade and host ports are our
// own (rules.go), so that no iptables program is needed and one table holds
// all that is ours.
func (n *Network) bridgeConflist() ([]byte, error) {
	mtu, err := uplinkMTU()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"cniVersion": "1.0.0",
		"name":       n.name,
		"plugins": []any{map[string]any{
			"type": "bridge", "bridge": n.name, "isGateway": true, "hairpinMode": true, "mtu": mtu,
			"ipam": map[string]any{
				"type": "host-local", "dataDir": n.leases(),
				"ranges": []any{[]any{map[string]any{"subnet": n.cfg.PodCIDR.Masked().String()}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	})
}

// ifName is the pod's interface.
const (
	ifPrefix = "eth"
	ifName   = ifPrefix + "0"
)

func (n *Network) plugins(rec *record) (gocni.CNI, error) {
	return gocni.New(
		gocni.WithMinNetworkCount(1),
		gocni.WithPluginDir(n.cfg.BinDirs),
		gocni.WithInterfacePrefix(ifPrefix),
		gocni.WithConfListBytes(rec.Conflist))
}

// attach has the plugins wire a namespace and tells its addresses.
func (n *Network) attach(ctx context.Context, rec *record, cfg pod.NetworkConfig, path string) ([]string, error) {
	plugins, err := n.plugins(rec)
	if err != nil {
		return nil, fmt.Errorf("CNI: %w", err)
	}
	if !rec.Builtin && len(rec.HostPorts) > 0 && !mapsPorts(plugins.GetConfig()) {
		return nil, &pod.Failure{Kind: pod.Permanent, Reason: reason, Message: fmt.Sprintf(
			"CNI network %q has no plugin for host ports (capability portMappings)", plugins.GetConfig().Networks[0].Config.Name)}
	}
	result, err := plugins.Setup(ctx, rec.SandboxID, path, options(rec, cfg)...)
	if err != nil {
		return nil, fmt.Errorf("CNI: %w", err)
	}
	ips := addresses(result)
	if len(ips) == 0 {
		return nil, errors.New("CNI: the network gave the pod no address")
	}
	return ips, nil
}

// detach undoes attach, as far as it went; without a path it frees what is
// kept outside of the namespace.
func (n *Network) detach(ctx context.Context, rec *record, cfg pod.NetworkConfig, path string) error {
	plugins, err := n.plugins(rec)
	if err != nil {
		return fmt.Errorf("CNI: %w", err)
	}
	id := rec.SandboxID
	if id == "" {
		id = cfg.SandboxID
	}
	if err := plugins.Remove(ctx, id, path, options(rec, cfg)...); err != nil {
		return fmt.Errorf("CNI: %w", err)
	}
	return nil
}

func mapsPorts(conf *gocni.ConfigResult) bool {
	for _, network := range conf.Networks {
		for _, plugin := range network.Config.Plugins {
			if plugin.Network.Capabilities["portMappings"] {
				return true
			}
		}
	}
	return false
}

// options are what a pod tells the plugins.
func options(rec *record, cfg pod.NetworkConfig) []gocni.NamespaceOpts {
	opts := []gocni.NamespaceOpts{gocni.WithLabels(map[string]string{
		"IgnoreUnknown":              "1",
		"K8S_POD_NAMESPACE":          cfg.Namespace,
		"K8S_POD_NAME":               cfg.Name,
		"K8S_POD_INFRA_CONTAINER_ID": cfg.SandboxID,
		"K8S_POD_UID":                string(cfg.UID),
	})}
	if rec.Builtin || len(rec.HostPorts) == 0 {
		return opts
	}
	ports := make([]gocni.PortMapping, 0, len(rec.HostPorts))
	for _, p := range rec.HostPorts {
		ports = append(ports, gocni.PortMapping{
			HostPort: p.HostPort, ContainerPort: p.ContainerPort,
			Protocol: strings.ToLower(string(p.Protocol)), HostIP: p.HostIP, // as CNI's convention has it
		})
	}
	return append(opts, gocni.WithCapabilityPortMap(ports))
}

// addresses are those of the pod's interface, IPv4 first.
func addresses(result *gocni.Result) []string {
	iface := result.Interfaces[ifName]
	if iface == nil {
		return nil
	}
	var v4, v6 []string
	for _, c := range iface.IPConfigs {
		if c.IP.To4() != nil {
			v4 = append(v4, c.IP.String())
		} else {
			v6 = append(v6, c.IP.String())
		}
	}
	return append(v4, v6...)
}
