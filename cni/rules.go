package cni

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// writeRules brings the table to what the pods' records say, and tells whether
// it had to be changed. It is written as a whole, in one transaction:
//
//	table ip <name> {
//	  chain guard       { hook prerouting, raw;    iifname bridge, daddr 127/8: drop }
//	  chain prerouting  { hook prerouting, dstnat; daddr is local: jump ports }
//	  chain output      { hook output, dstnat;     daddr is local: jump ports }
//	  chain ports       { [daddr hostIP] proto dport hostPort: dnat to pod:port }
//	  chain postrouting { hook postrouting, srcnat;
//	                      saddr pods, daddr neither pods nor 224/4: masquerade  out of the node
//	                      saddr pods, daddr pods, ct dnat: masquerade           a pod by a host port
//	                      saddr 127/8, oifname bridge: masquerade }             the host by loopback
//	}
//
// The guard is since route_localnet is on for the bridge: else pods could reach
// what listens on the host's loopback addresses only (CVE-2020-8558).
func (n *Network) writeRules() (changed bool, err error) {
	n.rules.Lock()
	defer n.rules.Unlock()
	recs, err := n.bridged()
	if err != nil {
		return false, err
	}
	wanted := forwards(recs)
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open nftables: %w", err)
	}
	text := fmt.Sprint(wanted)
	if n.written == text {
		if there, err := n.hasTable(conn); err != nil || there {
			return false, err
		}
	}
	n.warnOfFirewall(conn)
	n.addTable(conn, wanted)
	if err := conn.Flush(); err != nil {
		return false, fmt.Errorf("write nftables table %s: %w", n.name, err)
	}
	n.written = text
	return true, nil
}

// forward is a host port and where it leads.
type forward struct {
	proto byte
	// from has an unspecified address for any of the host's.
	from, to netip.AddrPort
}

// forwards are those of all pods that have an address, in a fixed order.
func forwards(recs map[types.UID]*record) []forward {
	var out []forward
	for _, uid := range slices.Sorted(maps.Keys(recs)) {
		to := firstV4(recs[uid].IPs)
		for _, p := range recs[uid].HostPorts {
			from := netip.IPv4Unspecified()
			if p.HostIP != "" {
				from, _ = netip.ParseAddr(p.HostIP) // not valid: not IPv4
			}
			if !to.IsValid() || !from.Is4() {
				continue
			}
			out = append(out, forward{
				proto: protocol(p.Protocol),
				from:  netip.AddrPortFrom(from, uint16(p.HostPort)),
				to:    netip.AddrPortFrom(to, uint16(p.ContainerPort)),
			})
		}
	}
	return out
}

func firstV4(ips []string) netip.Addr {
	for _, ip := range ips {
		if addr, err := netip.ParseAddr(ip); err == nil && addr.Is4() {
			return addr
		}
	}
	return netip.Addr{}
}

// protocol is TCP unless another one is said.
func protocol(p corev1.Protocol) byte {
	switch p {
	case corev1.ProtocolUDP:
		return unix.IPPROTO_UDP
	case corev1.ProtocolSCTP:
		return unix.IPPROTO_SCTP
	case corev1.ProtocolTCP:
	}
	return unix.IPPROTO_TCP
}

func (n *Network) table() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyIPv4, Name: n.name}
}

// hasTable: an admin may flush all rules.
func (n *Network) hasTable(conn *nftables.Conn) (bool, error) {
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return false, fmt.Errorf("list nftables tables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == n.name }), nil
}

// addTable adds to the transaction that the table is made anew.
func (n *Network) addTable(conn *nftables.Conn, wanted []forward) {
	conn.AddTable(n.table()) // so that there is one to remove
	conn.DelTable(n.table())
	table := conn.AddTable(n.table())
	ports := conn.AddChain(&nftables.Chain{Name: "ports", Table: table})
	n.addHooks(conn, table, ports.Name)
	for _, f := range wanted {
		conn.AddRule(&nftables.Rule{Table: table, Chain: ports, Exprs: dnat(f)})
	}
}

// addHooks adds all chains but the host ports'.
func (n *Network) addHooks(conn *nftables.Conn, table *nftables.Table, ports string) {
	hook := func(name string, kind nftables.ChainType, at *nftables.ChainHook, prio *nftables.ChainPriority, rules ...[]expr.Any) {
		chain := conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: kind, Hooknum: at, Priority: prio})
		for _, r := range rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r})
		}
	}
	pods := net.IPNet{IP: n.cfg.PodCIDR.Masked().Addr().AsSlice(), Mask: n.mask()}
	loopback := net.IPNet{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}
	multicast := net.IPNet{IP: net.IPv4(224, 0, 0, 0).To4(), Mask: net.CIDRMask(4, 32)}
	toPorts := join(daddrIsLocal(), []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: ports}})
	masquerade := []expr.Any{&expr.Masq{FullyRandom: true}}

	hook("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		join(ifname(expr.MetaKeyIIFNAME, n.name), in(daddr, loopback, true), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}))
	hook("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, toPorts)
	hook("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, toPorts)
	hook("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource,
		join(in(saddr, pods, true), in(daddr, pods, false), in(daddr, multicast, false), masquerade),
		join(in(saddr, pods, true), in(daddr, pods, true), wasDNAT(), masquerade),
		join(in(saddr, loopback, true), ifname(expr.MetaKeyOIFNAME, n.name), masquerade))
}

func (n *Network) removeRules() error {
	n.rules.Lock()
	defer n.rules.Unlock()
	n.written = ""
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	conn.DelTable(n.table())
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove nftables table %s: %w", n.name, err)
	}
	return nil
}

// warnOfFirewall tells of chains that drop what is forwarded unless a rule of
// theirs accepts it. What they hold is not looked into.
func (n *Network) warnOfFirewall(conn *nftables.Conn) {
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyINet} {
		chains, err := conn.ListChainsOfTableFamily(family)
		if err != nil {
			n.log.Warn("could not look for a firewall that drops what pods send", zap.Error(err))
			return
		}
		for _, c := range chains {
			if c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || c.Policy == nil || *c.Policy != nftables.ChainPolicyDrop {
				continue
			}
			n.log.Warn("a firewall drops what is forwarded, unless it accepts what comes in or goes out by the pods' bridge",
				zap.String("table", c.Table.Name), zap.String("chain", c.Name), zap.String("bridge", n.name))
		}
	}
}
