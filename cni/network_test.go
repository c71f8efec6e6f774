package cni_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/cni"
	"github.com/podd-io/podd/pod"
)

// ctx outlives the test, for its end.
func (w *world) ctx() context.Context { return context.WithoutCancel(w.Context()) }

func TestAPodIsReached(t *testing.T) {
	w := newWorld(t)
	out := newOutside(w)
	gateway := w.cfg.PodCIDR.Masked().Addr().Next().String()
	hostPort := freePort(t)
	cfg := w.pod("web")
	inside := serve(t, w.namespace(cfg))
	cfg.HostPorts = []pod.HostPort{{HostPort: hostPort, ContainerPort: inside, Protocol: corev1.ProtocolTCP}}
	other := w.pod("other")
	otherIP := w.wire(other)
	ip := w.wire(cfg)

	w.expectSeen(ip, inside, gateway)
	w.expectSeen("127.0.0.1", hostPort, gateway)
	w.expectSeen(out.host, hostPort, out.host)
	within(t, out.path, func() { w.expectSeen(out.host, hostPort, out.addr) })
	within(t, w.namespace(cfg), func() {
		w.expectSeen("127.0.0.1", inside, "127.0.0.1")
		w.expectSeen(out.host, hostPort, gateway) // itself
	})
	within(t, w.namespace(other), func() {
		w.expectSeen(ip, inside, otherIP)
		w.expectSeen(out.host, hostPort, gateway)
		w.expectSeen(out.addr, serve(t, out.path), out.host) // the world beyond
	})

	if err := w.Remove(w.ctx(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := dial("127.0.0.1", hostPort, time.Second); err == nil {
		t.Error("the host port is still served")
	}
	if seen, err := w.Observe(w.ctx(), cfg.UID); seen != nil || err != nil {
		t.Errorf("Observe = %+v, %v", seen, err)
	}
}

// TestOneHostAddress: the port of another address is somebody else's.
func TestOneHostAddress(t *testing.T) {
	w := newWorld(t)
	cfg := w.pod("web")
	inside := serve(t, w.namespace(cfg))
	hostPort := freePort(t)
	cfg.HostPorts = []pod.HostPort{{HostIP: "127.0.0.2", HostPort: hostPort, ContainerPort: inside, Protocol: corev1.ProtocolTCP}}
	w.wire(cfg)
	w.expectSeen("127.0.0.2", hostPort, w.cfg.PodCIDR.Masked().Addr().Next().String())
	if _, err := dial("127.0.0.1", hostPort, time.Second); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("at 127.0.0.1: %v", err)
	}
}

// TestTheHostsLoopbackIsGuarded: route_localnet must not let a pod in.
func TestTheHostsLoopbackIsGuarded(t *testing.T) {
	w := newWorld(t)
	cfg := w.pod("evil")
	w.wire(cfg)
	l, err := net.Listen("tcp4", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gateway := w.cfg.PodCIDR.Masked().Addr().Next().AsSlice()
	within(t, w.namespace(cfg), func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/eth0/route_localnet", []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, loopback, _ := net.ParseCIDR("127.0.0.0/8")
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrDel(lo, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: loopback.Mask}}); err != nil {
			t.Fatal(err)
		}
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: loopback, Gw: gateway}); err != nil {
			t.Fatal(err)
		}
		c, err := net.DialTimeout("tcp4", l.Addr().String(), 200*time.Millisecond)
		if err == nil {
			c.Close()
			t.Error("the pod reached the host's loopback address")
		} else if !os.IsTimeout(err) {
			t.Errorf("the pod could not even try: %v", err)
		}
	})
}

// TestUDPFlowsFollowThePod: a sender that began before the pod was there, and
// never pauses.
func TestUDPFlowsFollowThePod(t *testing.T) {
	w := newWorld(t)
	out := newOutside(w)
	w.wire(w.pod("first")) // there are rules, so the kernel keeps track of flows
	cfg := w.pod("dns")
	inside := serve(t, w.namespace(cfg))
	cfg.HostPorts = []pod.HostPort{{HostPort: freePort(t), ContainerPort: inside, Protocol: corev1.ProtocolUDP}}
	var sender net.PacketConn
	within(t, out.path, func() {
		var err error
		if sender, err = net.ListenPacket("udp4", out.addr+":0"); err != nil {
			t.Fatal(err)
		}
	})
	defer sender.Close()
	to := &net.UDPAddr{IP: net.ParseIP(out.host), Port: int(cfg.HostPorts[0].HostPort)}
	send := func() {
		if _, err := sender.WriteTo([]byte("?"), to); err != nil {
			t.Fatal(err)
		}
	}
	send()
	w.wire(cfg)
	send()
	if err := sender.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 100)
	n, _, err := sender.ReadFrom(answer)
	if err != nil || string(answer[:n]) != out.addr {
		t.Errorf("answer %q, %v", answer[:n], err)
	}
}

func TestHostPortsInUse(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcpPort, udpPort := int32(tcp.Addr().(*net.TCPAddr).Port), int32(udp.LocalAddr().(*net.UDPAddr).Port)
	for name, test := range map[string]struct {
		port pod.HostPort
		kind pod.FailureKind
		want string
	}{
		"any address, one is taken": {pod.HostPort{HostPort: tcpPort, Protocol: corev1.ProtocolTCP}, pod.Conflict,
			fmt.Sprintf("host port %d/TCP is in use by another process on this host", tcpPort)},
		"that address": {pod.HostPort{HostIP: "127.0.0.3", HostPort: tcpPort, Protocol: corev1.ProtocolTCP}, pod.Conflict,
			fmt.Sprintf("host port %d/TCP is in use by another process on this host", tcpPort)},
		"another address": {pod.HostPort{HostIP: "127.0.0.4", HostPort: tcpPort, Protocol: corev1.ProtocolTCP}, "", ""},
		"UDP": {pod.HostPort{HostPort: udpPort, Protocol: corev1.ProtocolUDP}, pod.Conflict,
			fmt.Sprintf("host port %d/UDP is in use by another process on this host", udpPort)},
		"an address of another host": {pod.HostPort{HostIP: "192.0.2.7", HostPort: 80, Protocol: corev1.ProtocolTCP}, pod.Permanent,
			`host port 80/TCP of host IP "192.0.2.7" can't be used: cannot assign requested address`},
		"IPv6": {pod.HostPort{HostIP: "::1", HostPort: 80, Protocol: corev1.ProtocolTCP}, pod.Permanent,
			`host port 80/TCP of host IP "::1" can't be used: only IPv4 is supported yet`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.port.ContainerPort = 80
			err := w.Setup(w.ctx(), w.pod("web", test.port))
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var f *pod.Failure
			if !errors.As(err, &f) || f.Kind != test.kind || f.Message != "set up network of pod default/web: "+test.want {
				t.Errorf("Setup = %v, want %s", err, test.want)
			}
			if veths := w.veths(); len(veths) > 0 {
				t.Errorf("wired nevertheless: %q", veths)
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	var cfgs []pod.NetworkConfig
	for i := range 8 {
		cfgs = append(cfgs, w.pod(fmt.Sprint("p", i)))
	}
	var pods sync.WaitGroup
	for _, cfg := range cfgs {
		pods.Go(func() { // the sandbox asks too
			if _, err := w.Namespace(w.ctx(), cfg.UID); err != nil {
				t.Error(err)
			}
		})
		pods.Go(func() {
			if err := w.Setup(w.ctx(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
	pods.Wait()
	ips := map[string]bool{}
	for _, cfg := range cfgs {
		ips[w.wire(cfg)] = true
	}
	if len(ips) != len(cfgs) {
		t.Errorf("%d addresses for %d pods", len(ips), len(cfgs))
	}
	keys, err := w.Pods()
	if err != nil || len(keys) != len(cfgs) || !slices.ContainsFunc(keys, func(k pod.Key) bool {
		return k == pod.Key{UID: "uid-p3", Namespace: "default", Name: "p3"}
	}) {
		t.Errorf("Pods = %v, %v", keys, err)
	}
	for _, cfg := range cfgs {
		pods.Go(func() {
			if err := w.Remove(w.ctx(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
	pods.Wait()
}

// TestComingAndGoing: what pods share goes and comes under the feet of others.
func TestComingAndGoing(t *testing.T) {
	w := newWorld(t)
	var pods sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		cfg := w.pod(name)
		pods.Go(func() {
			for range 3 {
				if err := w.Setup(w.ctx(), cfg); err != nil {
					t.Error(err)
				}
				if found := fmt.Sprint(leftovers(w)); !strings.Contains(found, "bridge") || !strings.Contains(found, "nft table") {
					t.Errorf("a pod is wired, but all there is is %s", found)
				}
				if err := w.Remove(w.ctx(), cfg); err != nil {
					t.Error(err)
				}
			}
		})
	}
	pods.Wait()
}

func TestAFailedTryIsMadeGood(t *testing.T) {
	w := newWorld(t)
	plugins := w.cfg.BinDirs
	broken := t.TempDir() // a bridge plugin, but no host-local
	if err := os.Symlink(filepath.Join(plugins[0], "bridge"), filepath.Join(broken, "bridge")); err != nil {
		t.Fatal(err)
	}
	w.cfg.BinDirs = []string{broken}
	w.restart()
	cfg := w.pod("web")
	err := w.Setup(w.ctx(), cfg)
	if err == nil || !strings.Contains(err.Error(), "host-local") {
		t.Errorf("Setup = %v", err)
	}
	if seen, err := w.Observe(w.ctx(), cfg.UID); err != nil || seen == nil || seen.Ready {
		t.Errorf("Observe = %+v, %v", seen, err)
	}
	w.cfg.BinDirs = plugins
	w.restart()
	w.wire(cfg)
}

func TestARestartOfPodd(t *testing.T) {
	w := newWorld(t)
	cfg := w.pod("web")
	inside := serve(t, w.namespace(cfg))
	cfg.HostPorts = []pod.HostPort{{HostPort: freePort(t), ContainerPort: inside, Protocol: corev1.ProtocolTCP}}
	ip := w.wire(cfg)
	w.restart()
	conn, err := nftables.New() // somebody flushed all rules meanwhile
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range leftovers(w) {
		if table, ok := strings.CutPrefix(left, "nft table ip "); ok {
			conn.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: table})
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if again := w.wire(cfg); again != ip {
		t.Errorf("its address was %s and is %s", ip, again)
	}
	w.expectSeen("127.0.0.1", cfg.HostPorts[0].HostPort, w.cfg.PodCIDR.Masked().Addr().Next().String())
}

func leftovers(w *world) []string {
	w.Helper()
	left, err := cni.Leftovers(w.cfg.Root, w.cfg.RunDir)
	if err != nil {
		w.Fatal(err)
	}
	return left
}

// boot takes away what a boot takes.
func boot(w *world) {
	w.Helper()
	conn, err := nftables.New()
	if err != nil {
		w.Fatal(err)
	}
	for _, left := range leftovers(w) {
		kind, name, _ := strings.Cut(left, " ")
		switch {
		case kind == "bridge":
			link, err := netlink.LinkByName(name)
			if err != nil {
				w.Fatal(err)
			}
			if err := netlink.LinkDel(link); err != nil {
				w.Fatal(err)
			}
		case kind == "nft":
			conn.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: strings.TrimPrefix(name, "table ip ")})
		case strings.Contains(left, "/netns/"):
			if err := unix.Unmount(left, unix.MNT_DETACH); err != nil {
				w.Fatal(err)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		w.Fatal(err)
	}
	if err := os.RemoveAll(w.cfg.RunDir); err != nil {
		w.Fatal(err)
	}
	w.restart()
}

func TestABootBetweenSetupAndTheNext(t *testing.T) {
	w := newWorld(t)
	cfg := w.pod("web", pod.HostPort{HostPort: freePort(t), ContainerPort: 80, Protocol: corev1.ProtocolTCP})
	w.wire(cfg)
	boot(w)
	if seen, err := w.Observe(w.ctx(), cfg.UID); err != nil || seen == nil || seen.Ready {
		t.Errorf("Observe = %+v, %v", seen, err)
	}
	w.namespace(cfg) // the sandbox came first
	if seen, err := w.Observe(w.ctx(), cfg.UID); err != nil || seen == nil || seen.Ready {
		t.Errorf("Observe = %+v, %v", seen, err)
	}
	w.wire(cfg)
	if n := len(w.veths()); n != 1 {
		t.Errorf("%d interfaces", n)
	}
}

func TestABootBetweenSetupAndRemove(t *testing.T) {
	w := newWorld(t)
	cfg := w.pod("web")
	w.wire(cfg)
	boot(w)
	if err := w.Remove(w.ctx(), cfg); err != nil {
		t.Error(err)
	}
	if left := leftovers(w); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestRemoveWithoutSetup(t *testing.T) {
	w := newWorld(t)
	if err := w.Remove(w.ctx(), w.pod("never")); err != nil {
		t.Error(err)
	}
	half := w.pod("half")
	w.namespace(half)
	if seen, err := w.Observe(w.ctx(), half.UID); err != nil || seen == nil || seen.Ready {
		t.Errorf("Observe = %+v, %v", seen, err)
	}
	if err := w.Remove(w.ctx(), half); err != nil {
		t.Error(err)
	}
}

// TestLatePlugin: one that a killed podd left running may make the directory of
// leases again after everything was removed.
func TestLatePlugin(t *testing.T) {
	w := newWorld(t)
	cfg := w.pod("web")
	w.wire(cfg)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if seen, err := w.Observe(w.ctx(), cfg.UID); err != nil || seen == nil || !seen.Ready {
		t.Errorf("a running pod lost its network: %+v, %v", seen, err)
	}
	if err := w.Remove(w.ctx(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(w.cfg.RunDir, "cni", "leases", "late"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if left := leftovers(w); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestATornRecord: a power failure may leave an empty file.
func TestATornRecord(t *testing.T) {
	w := newWorld(t)
	torn, whole := w.pod("torn"), w.pod("whole")
	w.wire(torn)
	if err := os.Truncate(filepath.Join(w.cfg.Root, "cni", string(torn.UID)+".json"), 0); err != nil {
		t.Fatal(err)
	}
	w.wire(whole)
	w.wire(torn)
	if n := len(w.veths()); n != 2 {
		t.Errorf("%d interfaces for two pods", n)
	}
}

// hostNetwork writes a conflist of the host's; extra are further plugins.
func hostNetwork(w *world, extra string) (bridge string) {
	w.Helper()
	bridge = fmt.Sprintf("hb%d", os.Getpid())
	text := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "host-%d", "plugins": [
		{"type": "bridge", "bridge": %q, "isGateway": true, "ipam": {"type": "host-local", "dataDir": %q, "subnet": %q}}%s]}`,
		os.Getpid(), bridge, filepath.Join(w.cfg.Root, "host-leases"), w.cfg.PodCIDR, extra)
	if err := os.MkdirAll(w.cfg.ConfDir, 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.cfg.ConfDir, "10-host.conflist"), []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if link, err := netlink.LinkByName(bridge); err == nil {
			if err := netlink.LinkDel(link); err != nil {
				w.Error(err)
			}
		}
	})
	w.restart()
	return bridge
}

// TestTheHostsConflist: it is used for new pods, and a pod is unwired with
// what it was wired with.
func TestTheHostsConflist(t *testing.T) {
	w := newWorld(t)
	before := w.pod("before")
	w.wire(before)
	bridge := hostNetwork(w, "")
	after := w.pod("after")
	// The networks overlap, so only one may be there at a time.
	if err := w.Remove(w.ctx(), before); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(w); len(left) > 0 {
		t.Errorf("left of the built-in network: %q", left)
	}
	ip := w.wire(after)
	if _, err := netlink.LinkByName(bridge); err != nil {
		t.Errorf("the host's bridge: %v", err)
	}
	lease := filepath.Join(w.cfg.Root, "host-leases", fmt.Sprint("host-", os.Getpid()), ip)
	if _, err := os.Stat(lease); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(w.cfg.ConfDir); err != nil {
		t.Fatal(err)
	}
	boot(w) // its leases are on disk and survive
	if err := w.Remove(w.ctx(), after); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(lease); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lease is left: %v", err)
	}
}

func TestHostPortsNeedAPlugin(t *testing.T) {
	w := newWorld(t)
	hostNetwork(w, "")
	err := w.Setup(w.ctx(), w.pod("web", pod.HostPort{HostPort: freePort(t), ContainerPort: 80, Protocol: corev1.ProtocolTCP}))
	var f *pod.Failure
	if !errors.As(err, &f) || f.Kind != pod.Permanent || !strings.Contains(f.Message, "has no plugin for host ports") {
		t.Errorf("Setup = %v", err)
	}
}

func TestHostPortsOfAPlugin(t *testing.T) {
	w := newWorld(t)
	hostNetwork(w, `, {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"}`)
	cfg := w.pod("web")
	inside := serve(t, w.namespace(cfg))
	cfg.HostPorts = []pod.HostPort{{HostPort: freePort(t), ContainerPort: inside, Protocol: corev1.ProtocolTCP}}
	w.wire(cfg)
	w.expectSeen("127.0.0.1", cfg.HostPorts[0].HostPort, w.cfg.PodCIDR.Masked().Addr().Next().String())
	if left := leftovers(w); slices.ContainsFunc(left, func(s string) bool { return strings.HasPrefix(s, "nft") }) {
		t.Errorf("rules of our own too: %q", left)
	}
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the plugin leaves its empty table
		conn.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "cni_hostport"})
		if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			t.Error(err)
		}
	})
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "05-broken.conflist")
	if err := os.WriteFile(broken, []byte(`{"name": `), 0o644); err != nil {
		t.Fatal(err)
	}
	good := netip.MustParsePrefix("10.1.0.0/24")
	for want, cfg := range map[string]cni.Config{
		"pod CIDR fd00::/64 is not IPv4":   {PodCIDR: netip.MustParsePrefix("fd00::/64")},
		"read CNI configuration " + broken: {PodCIDR: good, ConfDir: dir},
	} {
		if _, err := cni.New(cfg, zaptest.NewLogger(t)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("New = %v, want %s...", err, want)
		}
	}
}

func BenchmarkPod(b *testing.B) {
	bundle, err := filepath.Abs("../bin/bundle")
	if err != nil {
		b.Fatal(err)
	}
	n, err := cni.New(cni.Config{
		Root: b.TempDir(), RunDir: b.TempDir(), ConfDir: b.TempDir(), BinDirs: []string{bundle},
		PodCIDR: netip.MustParsePrefix("10.199.0.0/24"),
	}, zaptest.NewLogger(b))
	if err != nil {
		b.Fatal(err)
	}
	cfg := func(name string) pod.NetworkConfig {
		return pod.NetworkConfig{UID: "u" + "-" + "bench", Namespace: "default", Name: name, SandboxID: name}
	}
	var up, down time.Duration
	for b.Loop() {
		start := time.Now()
		if err := n.Setup(b.Context(), cfg("a")); err != nil {
			b.Fatal(err)
		}
		up += time.Since(start)
		start = time.Now()
		if err := n.Remove(b.Context(), cfg("a")); err != nil {
			b.Fatal(err)
		}
		down += time.Since(start)
	}
	b.ReportMetric(float64(up.Milliseconds())/float64(b.N), "ms/setup")
	b.ReportMetric(float64(down.Milliseconds())/float64(b.N), "ms/remove")
}
