package host

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestNodeOfThisMachine(t *testing.T) {
	var unready error
	h, err := New(Config{
		Root: t.TempDir(), Version: "v1",
		ContainerRuntime: func(context.Context) string { return "containerd://2" },
		Ready:            func(context.Context) error { return unready },
	})
	if err != nil {
		t.Fatal(err)
	}
	node, err := h.Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, quantity := range node.Status.Capacity {
		if quantity.Value() <= 0 {
			t.Errorf("capacity of %s: %s", name, quantity.String())
		}
	}
	if got := node.Status.Allocatable.Pods().Value(); got != DefaultMaxPods {
		t.Errorf("%d pods", got)
	}
	first := node.Status.Addresses[0]
	if _, err := netip.ParseAddr(first.Address); err != nil || first.Type != corev1.NodeInternalIP {
		t.Errorf("the first address is %+v", first)
	}
	system := node.Status.NodeInfo
	if system.KernelVersion == "" || system.BootID == "" || system.OSImage == "" || system.ContainerRuntimeVersion != "containerd://2" {
		t.Errorf("%+v", system)
	}
	if node.Name == "" {
		t.Error("it has no name")
	}
	if c := node.Status.Conditions[0]; c.Type != corev1.NodeReady || c.Status != corev1.ConditionTrue {
		t.Errorf("%+v", c)
	}
	unready = errors.New("containerd is away")
	if node, err = h.Node(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := node.Status.Conditions[0]; c.Status != corev1.ConditionFalse || c.Message != "containerd is away" {
		t.Errorf("%+v", c)
	}
}

func TestRank(t *testing.T) {
	up := iface{index: 5, ips: []string{"10.0.0.5"}, uplink: true, hardware: true}
	eth := iface{index: 2, ips: []string{"192.168.1.2", "2001:db8::2"}, hardware: true}
	bridge := iface{index: 1, ips: []string{"10.88.0.1"}}
	for name, c := range map[string]struct {
		in   []iface
		want []string
	}{
		"default route first": {[]iface{bridge, eth, up}, []string{"10.0.0.5", "192.168.1.2", "2001:db8::2", "10.88.0.1"}},
		"no default route":    {[]iface{bridge, eth}, []string{"192.168.1.2", "2001:db8::2", "10.88.0.1"}},
		"only a bridge":       {[]iface{bridge}, []string{"10.88.0.1"}},
		"nothing":             {nil, []string{"127.0.0.1"}},
	} {
		if diff := cmp.Diff(c.want, rank(c.in)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestUsable(t *testing.T) {
	var addrs []net.Addr
	for _, s := range []string{"fe80::1/64", "2001:db8::1/64", "169.254.1.1/16", "10.0.0.1/8", "127.0.0.1/8"} {
		ip, network, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, &net.IPNet{IP: ip, Mask: network.Mask})
	}
	if diff := cmp.Diff([]string{"10.0.0.1", "2001:db8::1"}, usable(addrs)); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultRoutes(t *testing.T) {
	const table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n"
	if diff := cmp.Diff([]string{"eth0"}, defaultRoutes(table)); diff != "" {
		t.Error(diff)
	}
}

func TestResolvConf(t *testing.T) {
	const upstream = "nameserver 10.0.0.53\n"
	for name, c := range map[string]struct {
		own, upstream, want string
	}{
		"reachable":           {"search a\nnameserver 1.1.1.1\n", upstream, "search a\nnameserver 1.1.1.1\n"},
		"one of two":          {"nameserver 127.0.0.53\nnameserver 1.1.1.1\n", upstream, "nameserver 127.0.0.53\nnameserver 1.1.1.1\n"},
		"resolved":            {"nameserver 127.0.0.53\n", upstream, upstream},
		"other local one":     {"nameserver ::1\n", "", "nameserver ::1\n"},
		"none":                {"", upstream, ""},
		"no server in it":     {"search a\n", upstream, "search a\n"},
		"malformed is passed": {"nameserver\n", upstream, "nameserver\n"},
	} {
		dir := t.TempDir()
		for file, text := range map[string]string{"own": c.own, "upstream": c.upstream} {
			if text == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := resolvConf(filepath.Join(dir, "own"), filepath.Join(dir, "upstream"))
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestTotalMemory(t *testing.T) {
	if got, err := totalMemory("MemFree: 1 kB\nMemTotal:       24603000 kB\n"); err != nil || got != 24603000<<10 {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := totalMemory("MemFree: 1 kB\n"); err == nil {
		t.Error("no error without MemTotal")
	}
}

func TestPrettyName(t *testing.T) {
	if got := prettyName("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"); got != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("%q", got)
	}
	if got := prettyName("ID=x\n"); got != "linux" {
		t.Errorf("%q", got)
	}
}
