package cni

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ensureBridge makes the built-in network's bridge ready before the plugin
// sees it. The plugin would do so itself, but several at once would race for
// the bridge's MAC address, which the pods then have wrong in their ARP caches,
// and for the first pod it sleeps 50 ms until its new bridge is up.
func (n *Network) ensureBridge() error {
	n.bridge.Lock()
	defer n.bridge.Unlock()
	link, err := n.bridgeLink()
	if err != nil {
		return fmt.Errorf("make bridge %s: %w", n.name, err)
	}
	gateway := &netlink.Addr{IPNet: &net.IPNet{IP: n.gateway(), Mask: n.mask()}}
	if err := netlink.AddrReplace(link, gateway); err != nil {
		return fmt.Errorf("give bridge %s its address: %w", n.name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set bridge %s up: %w", n.name, err)
	}
	return n.forwarding()
}

// bridgeLink finds the bridge or makes it.
func (n *Network) bridgeLink() (netlink.Link, error) {
	link, err := netlink.LinkByName(n.name)
	if !errors.As(err, &netlink.LinkNotFoundError{}) {
		return link, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = n.name
	if attrs.MTU, err = uplinkMTU(); err != nil {
		return nil, err
	}
	// A fixed MAC address: else it is the least of its ports', and changes.
	sum := sha256.Sum256([]byte(n.name))
	attrs.HardwareAddr = append(net.HardwareAddr{0x02}, sum[:5]...) // locally administered
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	return netlink.LinkByName(n.name)
}

// gateway is the first address of the pods' network, as host-local has it.
func (n *Network) gateway() net.IP { return n.cfg.PodCIDR.Masked().Addr().Next().AsSlice() }

func (n *Network) mask() net.IPMask { return net.CIDRMask(n.cfg.PodCIDR.Bits(), 32) }

// forwarding lets the host route for the pods, and lets it reach host ports by
// its own loopback addresses; rules.go guards these from everybody else.
func (n *Network) forwarding() error {
	for _, path := range []string{
		"/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/net/ipv4/conf/" + n.name + "/route_localnet",
	} {
		if now, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(now)) == "1" {
			continue
		}
		if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("set %s: %w", path, err)
		}
	}
	return nil
}

// uplinkMTU is that of the interface by which the host reaches the world:
// larger packets of pods would have to be broken up there. Without a way out it
// is Ethernet's.
func uplinkMTU() (int, error) {
	const ethernet = 1500
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return 0, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if !isDefault(r) {
			continue
		}
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil && link.Attrs().MTU > 0 {
			return link.Attrs().MTU, nil
		}
	}
	return ethernet, nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	bits, _ := r.Dst.Mask.Size()
	return bits == 0
}

// removeBridge: CNI's bridge plugin leaves it behind.
func removeBridge(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", name, err)
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	return nil
}
