package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// TestLifeOfTheDaemon runs it twice on one root, with a real containerd.
func TestLifeOfTheDaemon(t *testing.T) {
	cfg := private(t)
	cfg.MetricsListen = freeAddress(t)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- runDaemon(ctx, cfg, nil) }()
		if err := untilWorking(t, cfg, done); err != nil {
			t.Fatal(err)
		}
		if body, err := get("http://" + cfg.MetricsListen + "/readyz"); err != nil || body != "ok" {
			t.Errorf("/readyz: %q, %v", body, err)
		}
		if body, err := get("http://" + cfg.MetricsListen + "/metrics"); err != nil || !strings.Contains(body, "\npodd_build_info{") {
			t.Errorf("/metrics: %q, %v", body, err)
		}
		if err := runDaemon(ctx, cfg, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another podd uses it: pid %d", os.Getpid())) {
			t.Errorf("a second podd: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, socket := range []string{strings.TrimPrefix(cfg.Listen[0], "unix://"), containerdConfig(cfg).Address()} {
			if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s after the end: %v", socket, err)
			}
		}
	}
}

// untilWorking waits until the control endpoint says that podd works.
func untilWorking(t *testing.T, cfg Config, done chan error) error {
	t.Helper()
	conn, err := grpc.NewClient(cfg.Listen[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	node := poddv1.NewNodeClient(conn)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := node.Version(t.Context(), &poddv1.VersionRequest{})
		if err == nil {
			return nil
		}
		select {
		case ended := <-done:
			return fmt.Errorf("it ended: %w", ended)
		default:
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func TestATakenMetricsAddressIsToldAtOnce(t *testing.T) {
	cfg := private(t)
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	cfg.MetricsListen = taken.Addr().String()
	if err := runDaemon(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "serve metrics on "+cfg.MetricsListen) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(containerdConfig(cfg).Address()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("containerd was started: %v", err)
	}
}

func TestALogDirThatIsNoneIsTold(t *testing.T) {
	cfg := private(t)
	if err := os.WriteFile(cfg.LogDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runDaemon(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "log-dir: ") {
		t.Errorf("%v", err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func get(url string) (body string, err error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}
