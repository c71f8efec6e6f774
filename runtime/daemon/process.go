package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running containerd, ours by birth or adopted. It is held by a
// pidfd, so that its pid can never come to mean another process.
type process struct {
	pid   int
	pidfd *os.File
}

// hold takes hold of a process by its pid. The caller has to make sure
// afterwards that it is the one that was meant.
func hold(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open pidfd of %d: %w", pid, err)
	}
	return &process{pid: pid, pidfd: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// release lets go of the process, whether it runs or not.
func (p *process) release() { _ = p.pidfd.Close() }

// wait blocks until the process has ended, then returns nil, or until ctx has.
// It reaps the process if it is podd's child. One call at a time.
func (p *process) wait(ctx context.Context) error {
	if err := p.waitEnded(ctx); err != nil {
		return err
	}
	// ECHILD: it was adopted, and is reaped by whoever has it now.
	_, err := unix.Wait4(p.pid, nil, unix.WNOHANG, nil)
	if err != nil && !errors.Is(err, unix.ECHILD) {
		return fmt.Errorf("reap process %d: %w", p.pid, err)
	}
	return nil
}

func (p *process) waitEnded(ctx context.Context) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.pid, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = p.pidfd.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		// The deadline may be an earlier call's, set late: only ctx tells.
		if err := p.pidfd.SetReadDeadline(time.Time{}); err != nil {
			return fmt.Errorf("wait for process %d: %w", p.pid, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := conn.Read(ended); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// ended says whether the process behind a pidfd has ended: it can be read then.
func ended(pidfd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// signal sends a signal; a process that has ended is no error.
func (p *process) signal(sig syscall.Signal) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return fmt.Errorf("send %s to process %d: %w", sig, p.pid, err)
	}
	var sent error
	err = conn.Control(func(pidfd uintptr) { sent = unix.PidfdSendSignal(int(pidfd), sig, nil, 0) })
	if err = errors.Join(err, sent); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// end sends TERM, and KILL when patience has passed, and returns once the
// process has ended, at the latest when it has not for as long again.
func (p *process) end(patience time.Duration) error {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.signal(sig); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := p.wait(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return fmt.Errorf("process %d does not end", p.pid)
}

// find looks through /proc for a containerd of root's that runs with our
// configuration file, nil if there is none. Unlike a file with a pid in it, this
// cannot be stale, nor missing because podd was killed before it wrote it.
func find(configFile string) (*process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for a running containerd: %w", err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !isOurs(pid, configFile) {
			continue
		}
		p, err := hold(pid)
		if err != nil {
			continue // it ended just now
		}
		if isOurs(pid, configFile) {
			return p, nil
		}
		p.release()
	}
	return nil, nil
}

// isOurs says whether a process is a containerd started as arguments tells, by
// the user that podd runs as. A zombie has no command line and is nobody's.
func isOurs(pid int, configFile string) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return false
	}
	args := bytes.Split(bytes.TrimSuffix(cmdline, []byte{0}), []byte{0})
	want := arguments(configFile)
	if len(args) != 1+len(want) || filepath.Base(string(args[0])) != "containerd" {
		return false
	}
	for i, arg := range want {
		if string(args[1+i]) != arg {
			return false
		}
	}
	var stat unix.Stat_t
	return unix.Stat(dir, &stat) == nil && int(stat.Uid) == os.Geteuid()
}

// arguments are those containerd is started with, and known by.
func arguments(configFile string) []string { return []string{"--config", configFile} }
