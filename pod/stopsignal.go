package pod

import (
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// The first and the last real-time signal. Source: signal(7).
const (
	sigRTMin syscall.Signal = 34
	sigRTMax syscall.Signal = 64
)

// stopSignalFor is what asks a container to end: its own wish, then its
// image's; 0 is TERM. Source: KEP-4960.
func stopSignalFor(spec *corev1.Container, img Image) syscall.Signal {
	if name := lifecycleOf(spec).StopSignal; name != nil {
		if s := signalNamed(string(*name)); s != 0 {
			return s
		}
	}
	return img.StopSignal
}

// signalNamed is 0 for a name that Linux has no signal of.
func signalNamed(name string) syscall.Signal {
	if s, ok := signals()[name]; ok {
		return s
	}
	for prefix, base := range map[string]syscall.Signal{"SIGRTMIN": sigRTMin, "SIGRTMAX": sigRTMax} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi("0" + strings.TrimLeft(rest, "+-"))
		if err != nil {
			return 0
		}
		if base == sigRTMax {
			n = -n
		}
		return base + syscall.Signal(n)
	}
	return 0
}

func signals() map[string]syscall.Signal {
	return map[string]syscall.Signal{
		"SIGABRT": syscall.SIGABRT, "SIGALRM": syscall.SIGALRM, "SIGBUS": syscall.SIGBUS, "SIGCHLD": syscall.SIGCHLD,
		"SIGCLD": syscall.SIGCLD, "SIGCONT": syscall.SIGCONT, "SIGFPE": syscall.SIGFPE, "SIGHUP": syscall.SIGHUP,
		"SIGILL": syscall.SIGILL, "SIGINT": syscall.SIGINT, "SIGIO": syscall.SIGIO, "SIGIOT": syscall.SIGIOT,
		"SIGKILL": syscall.SIGKILL, "SIGPIPE": syscall.SIGPIPE, "SIGPOLL": syscall.SIGPOLL, "SIGPROF": syscall.SIGPROF,
		"SIGPWR": syscall.SIGPWR, "SIGQUIT": syscall.SIGQUIT, "SIGSEGV": syscall.SIGSEGV, "SIGSTKFLT": syscall.SIGSTKFLT,
		"SIGSTOP": syscall.SIGSTOP, "SIGSYS": syscall.SIGSYS, "SIGTERM": syscall.SIGTERM, "SIGTRAP": syscall.SIGTRAP,
		"SIGTSTP": syscall.SIGTSTP, "SIGTTIN": syscall.SIGTTIN, "SIGTTOU": syscall.SIGTTOU, "SIGURG": syscall.SIGURG,
		"SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2, "SIGVTALRM": syscall.SIGVTALRM, "SIGWINCH": syscall.SIGWINCH,
		"SIGXCPU": syscall.SIGXCPU, "SIGXFSZ": syscall.SIGXFSZ,
	}
}
