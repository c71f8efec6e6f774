package runtime

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// The kubelet's bounds on a termination message.
const (
	maxMessage    = 4096
	maxLogMessage = 2048
	maxLogLines   = 80
)

// errdefsOf translates an error of a bare gRPC call.
func errdefsOf(err error) error { return errgrpc.ToNative(err) }

// terminationMessage is what the process left at its terminationMessagePath,
// or, if the pod asks for it and the process failed, the end of its log.
func terminationMessage(labels map[string]string, exitCode int) string {
	text := readEnd(labels[LabelMessagePath], maxMessage)
	fallback := labels[LabelMessagePolicy] == string(corev1.TerminationMessageFallbackToLogsOnError)
	if len(text) > 0 || !fallback || exitCode == 0 {
		return string(text)
	}
	return logEnd(readEnd(labels[LabelLogPath], 16*maxLogMessage))
}

// readEnd reads the last n bytes of a file; one that can't be read is empty.
func readEnd(path string, n int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > n {
		if _, err := f.Seek(-n, io.SeekEnd); err != nil {
			return nil
		}
	}
	text, _ := io.ReadAll(io.LimitReader(f, n))
	return text
}

// logEnd strips the CRI format ("time stream tag content") and keeps the last
// lines.
func logEnd(raw []byte) string {
	var b strings.Builder
	for line := range bytes.Lines(raw) {
		parts := bytes.SplitN(line, []byte(" "), 4)
		if len(parts) < 4 {
			continue
		}
		content := parts[3]
		if string(parts[2]) == "P" {
			content = bytes.TrimSuffix(content, []byte("\n"))
		}
		b.Write(content)
	}
	text := b.String()
	if lines := strings.SplitAfter(text, "\n"); len(lines) > maxLogLines {
		text = strings.Join(lines[len(lines)-maxLogLines-1:], "")
	}
	if len(text) > maxLogMessage {
		text = text[len(text)-maxLogMessage:]
	}
	return text
}

// startTime is when a process started, by the kernel: field 22 of
// proc_pid_stat(5), in ticks after boot, so to 10 ms. It is zero when the process is gone.
func startTime(pid int) time.Time {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}
	}
	_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return time.Time{}
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return time.Time{}
	}
	const ticksPerSecond = 100 // USER_HZ, fixed in the kernel's ABI
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}
	}
	age := time.Duration(up.Nano()) - time.Duration(ticks)*(time.Second/ticksPerSecond)
	return time.Now().Add(-age)
}
