package pod

import (
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestSignalNames(t *testing.T) {
	for name, want := range map[string]syscall.Signal{
		"SIGTERM": 15, "SIGUSR1": 10, "SIGRTMIN": 34, "SIGRTMIN+3": 37, "SIGRTMIN+15": 49, "SIGRTMAX": 64, "SIGRTMAX-14": 50,
		"": 0, "TERM": 0, "SIGNOPE": 0, "SIGRTMIN+x": 0,
	} {
		if got := signalNamed(name); got != want {
			t.Errorf("%q is %d", name, got)
		}
	}
}

func TestStopSignalFor(t *testing.T) {
	wish := corev1.Signal("SIGUSR1")
	own := &corev1.Container{Lifecycle: &corev1.Lifecycle{StopSignal: &wish}}
	if got := stopSignalFor(own, Image{StopSignal: syscall.SIGQUIT}); got != syscall.SIGUSR1 {
		t.Errorf("the container's: %v", got)
	}
	if got := stopSignalFor(&corev1.Container{}, Image{StopSignal: syscall.SIGQUIT}); got != syscall.SIGQUIT {
		t.Errorf("the image's: %v", got)
	}
}
