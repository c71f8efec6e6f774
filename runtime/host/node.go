package host

import (
	"context"
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultMaxPods is the kubelet's.
const DefaultMaxPods = 110

// Config is what the machine cannot tell.
type Config struct {
	// Name is the node's; the host name if it is empty.
	Name string
	// Root is the directory whose file system pods fill.
	Root string
	// MaxPods is DefaultMaxPods if it is 0.
	MaxPods int64
	// Version is podd's, where a kubelet tells its own.
	Version string
	// ContainerRuntime tells the runtime's name and version, as far as it can be
	// reached: "containerd://2.4.2".
	ContainerRuntime func(context.Context) string
	// Ready tells why no pod can be run now, nil if they can.
	Ready func(context.Context) error
	// Since is when this node came to be.
	Since time.Time
}

// Host is the machine.
type Host struct{ cfg Config }

// New makes a Host.
func New(cfg Config) (*Host, error) {
	if cfg.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("read the host name: %w", err)
		}
		cfg.Name = strings.ToLower(name)
	}
	if cfg.MaxPods == 0 {
		cfg.MaxPods = DefaultMaxPods
	}
	return &Host{cfg: cfg}, nil
}

// Node is the machine as it is now. Nothing is held back for the system:
// allocatable is the capacity. Of the conditions it has Ready alone: pressure is
// not measured.
func (h *Host) Node(ctx context.Context) (*corev1.Node, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read the host name: %w", err)
	}
	capacity, err := h.capacity()
	if err != nil {
		return nil, err
	}
	ips, err := addresses()
	if err != nil {
		return nil, err
	}
	system, err := h.system(ctx)
	if err != nil {
		return nil, err
	}
	return &corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{
			Name:              h.cfg.Name,
			CreationTimestamp: metav1.NewTime(h.cfg.Since),
			Labels: map[string]string{
				corev1.LabelHostname:   hostname,
				corev1.LabelOSStable:   system.OperatingSystem,
				corev1.LabelArchStable: system.Architecture,
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    capacity,
			Allocatable: capacity.DeepCopy(),
			Addresses:   nodeAddresses(ips, hostname),
			Conditions:  []corev1.NodeCondition{ready(h.cfg.Ready(ctx), time.Now())},
			NodeInfo:    system,
		},
	}, nil
}

func ready(err error, now time.Time) corev1.NodeCondition {
	c := corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.NewTime(now),
		Reason: "PoddReady", Message: "podd can run pods",
	}
	if err != nil {
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "PoddNotReady", err.Error()
	}
	return c
}

func nodeAddresses(ips []string, hostname string) []corev1.NodeAddress {
	all := make([]corev1.NodeAddress, 0, len(ips)+1)
	for _, ip := range ips {
		all = append(all, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	return append(all, corev1.NodeAddress{Type: corev1.NodeHostName, Address: hostname})
}

func (h *Host) capacity() (corev1.ResourceList, error) {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, fmt.Errorf("read the memory's size: %w", err)
	}
	memory, err := totalMemory(string(meminfo))
	if err != nil {
		return nil, err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(h.cfg.Root, &disk); err != nil {
		return nil, fmt.Errorf("read the size of the file system of %s: %w", h.cfg.Root, err)
	}
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(goruntime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(int64(disk.Blocks)*disk.Bsize, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(h.cfg.MaxPods, resource.DecimalSI),
	}, nil
}

// totalMemory reads MemTotal of /proc/meminfo, in bytes.
func totalMemory(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read MemTotal: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("no MemTotal in /proc/meminfo")
}

func (h *Host) system(ctx context.Context) (corev1.NodeSystemInfo, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return corev1.NodeSystemInfo{}, fmt.Errorf("read the kernel's version: %w", err)
	}
	return corev1.NodeSystemInfo{
		MachineID:               line("/etc/machine-id"),
		SystemUUID:              line("/sys/class/dmi/id/product_uuid"),
		BootID:                  line("/proc/sys/kernel/random/boot_id"),
		KernelVersion:           unix.ByteSliceToString(uts.Release[:]),
		OSImage:                 osImage(),
		ContainerRuntimeVersion: h.cfg.ContainerRuntime(ctx),
		KubeletVersion:          h.cfg.Version,
		OperatingSystem:         goruntime.GOOS,
		Architecture:            goruntime.GOARCH,
	}, nil
}

// line is the content of a file of one line, empty if the machine has no such
// file: containers and small boards lack some.
func line(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// osImage is PRETTY_NAME of os-release(5).
func osImage() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if data, err := os.ReadFile(path); err == nil {
			return prettyName(string(data))
		}
	}
	return goruntime.GOOS
}

func prettyName(osRelease string) string {
	for line := range strings.Lines(osRelease) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME=")
		if ok {
			return strings.Trim(value, `"'`)
		}
	}
	return goruntime.GOOS
}
