package cni

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// The table, written as a whole in one transaction from the pods' records:
//
//	table ip podd<hash> {
//	  chain guard       { hook prerouting, raw;    iifname bridge, daddr 127/8: drop }
//	  chain prerouting  { hook prerouting, dstnat; daddr is local: jump ports }
//	  chain output      { hook output, dstnat;     daddr is local: jump ports }
//	  chain ports       { [daddr hostIP] proto dport hostPort: dnat to pod:port }
//	  chain postrouting { hook postrouting, srcnat;
//	                      saddr pods, daddr not pods: masquerade       out of the node
//	                      saddr pods, daddr pods, ct dnat: masquerade  a pod by its host port
//	                      saddr 127/8, oifname bridge: masquerade }    the host by loopback
//	}
func (n *Network) writeRules() error {
	if !n.builtin {
		return nil
	}
	n.rules.Lock()
	defer n.rules.Unlock()
	recs, err := n.records()
	if err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := n.emptyTable(conn)
	ports := conn.AddChain(&nftables.Chain{Name: "ports", Table: table})
	n.addHooks(conn, table, ports.Name)
	for _, uid := range slices.Sorted(maps.Keys(recs)) {
		for _, p := range recs[uid].HostPorts {
			if rule := dnat(p, recs[uid].IPs); rule != nil {
				conn.AddRule(&nftables.Rule{Table: table, Chain: ports, Exprs: rule})
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w", n.name, err)
	}
	return nil
}

// emptyTable makes the table anew, within the transaction.
func (n *Network) emptyTable(conn *nftables.Conn) *nftables.Table {
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: n.name}
	conn.AddTable(table) // so that there is one to remove
	conn.DelTable(table)
	return conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: n.name})
}

func (n *Network) removeRules() error {
	n.rules.Lock()
	defer n.rules.Unlock()
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	conn.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: n.name})
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove nftables table %s: %w", n.name, err)
	}
	return nil
}

// addHooks adds all chains but the host ports'.
func (n *Network) addHooks(conn *nftables.Conn, table *nftables.Table, ports string) {
	hook := func(name string, kind nftables.ChainType, at *nftables.ChainHook, prio *nftables.ChainPriority, rules ...[]expr.Any) {
		chain := conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: kind, Hooknum: at, Priority: prio})
		for _, r := range rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r})
		}
	}
	loopback := net.IPNet{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}
	pods := net.IPNet{IP: n.cfg.PodCIDR.Masked().Addr().AsSlice(), Mask: net.CIDRMask(n.cfg.PodCIDR.Bits(), 32)}
	toPorts := join(daddrIsLocal(), []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: ports}})
	masquerade := []expr.Any{&expr.Masq{}}

	hook("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		join(ifname(expr.MetaKeyIIFNAME, n.name), in(daddr, loopback, true), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}))
	hook("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, toPorts)
	hook("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, toPorts)
	hook("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource,
		join(in(saddr, pods, true), in(daddr, pods, false), masquerade),
		join(in(saddr, pods, true), in(daddr, pods, true), wasDNAT(), masquerade),
		join(in(saddr, loopback, true), ifname(expr.MetaKeyOIFNAME, n.name), masquerade))
}

func join(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

// The offsets of the addresses in an IPv4 header.
const (
	saddr = 12
	daddr = 16
)

// in matches an address that is, or is not, in a network.
func in(offset uint32, network net.IPNet, inside bool) []expr.Any {
	op := expr.CmpOpEq
	if !inside {
		op = expr.CmpOpNeq
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: network.Mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: network.IP.Mask(network.Mask)},
	}
}

func ifname(key expr.MetaKey, name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: padded},
	}
}

func daddrIsLocal() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// ctStatusDNAT is IPS_DST_NAT of the kernel's nf_conntrack_common.h.
const ctStatusDNAT = 1 << 5

func wasDNAT() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(ctStatusDNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// dnat leads a host port to a pod. It is nil for a pod that has no IPv4
// address (yet).
func dnat(p pod.HostPort, ips []string) []expr.Any {
	var to net.IP
	for _, ip := range ips {
		if v4 := net.ParseIP(ip).To4(); v4 != nil {
			to = v4
			break
		}
	}
	if to == nil {
		return nil
	}
	var rule []expr.Any
	if host := net.ParseIP(p.HostIP).To4(); host != nil && !host.IsUnspecified() {
		rule = in(daddr, net.IPNet{IP: host, Mask: net.CIDRMask(32, 32)}, true)
	}
	return join(rule, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol(p.Protocol)}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: port(p.HostPort)},
		&expr.Immediate{Register: 1, Data: to},
		&expr.Immediate{Register: 2, Data: port(p.ContainerPort)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2, Specified: true},
	})
}

func port(n int32) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func protocol(p corev1.Protocol) byte {
	switch p {
	case corev1.ProtocolUDP:
		return unix.IPPROTO_UDP
	case corev1.ProtocolSCTP:
		return unix.IPPROTO_SCTP
	}
	return unix.IPPROTO_TCP
}
