package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// socketGroup may use the control endpoint, if there is such a group.
const socketGroup = "podd"

// The kinds of control endpoints.
const (
	unixScheme = "unix://"
	tcpScheme  = "tcp://"
)

// listenAll opens every control endpoint, or none. passed are the sockets that
// systemd listens on for podd, by path: those are taken as they are. Those over
// TCP show id, which may be nil where there are none.
func listenAll(ctx context.Context, addresses []string, passed map[string]net.Listener, id *identity) ([]net.Listener, error) {
	var all []net.Listener
	for _, address := range addresses {
		if path, ok := strings.CutPrefix(address, unixScheme); ok && passed[path] != nil {
			all = append(all, passed[path])
			continue
		}
		l, err := listenOn(ctx, address, id)
		if err != nil {
			for _, opened := range all {
				err = errors.Join(err, opened.Close())
			}
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		all = append(all, l)
	}
	return all, nil
}

func listenOn(ctx context.Context, address string, id *identity) (net.Listener, error) {
	hostPort, ok := strings.CutPrefix(address, tcpScheme)
	if !ok {
		return listen(ctx, strings.TrimPrefix(address, unixScheme))
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", hostPort)
	if err != nil {
		return nil, err
	}
	return id.over(l), nil
}

// unnamed are the paths of sockets that systemd passed and no address names.
// Nobody would be answered on them.
func unnamed(addresses []string, passed map[string]net.Listener) []string {
	var paths []string
	for path := range passed {
		if !slices.Contains(addresses, unixScheme+path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// listen opens a unix socket for root and socketGroup. A socket file that nobody
// listens on any more is replaced.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return nil, err
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := permit(path); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func removeStale(ctx context.Context, path string) error {
	stat, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if stat.Mode().Type() != os.ModeSocket {
		return errors.New("it exists and is no socket")
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(errors.New("somebody else listens on it"), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// permit lets nobody but root and the members of socketGroup in. Until then the
// socket is writable by its owner at most, under any sensible umask.
func permit(path string) error {
	group, err := user.LookupGroup(socketGroup)
	if errors.As(err, new(user.UnknownGroupError)) {
		return os.Chmod(path, 0o600)
	}
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return err
	}
	return errors.Join(os.Chown(path, -1, gid), os.Chmod(path, 0o660))
}
