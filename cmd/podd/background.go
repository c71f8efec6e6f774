package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/podd-io/podd/runtime/daemon"
)

// background is what has to live on while the agent finishes its work, and is
// ended after it: containerd, metrics, the watchdog.
type background struct {
	group *errgroup.Group
	// ctx ends when stop is called, or one of them fails.
	ctx  context.Context
	stop context.CancelFunc
}

// newBackground does not end with ctx.
func newBackground(ctx context.Context) *background {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, ctx := errgroup.WithContext(ctx)
	return &background{group: group, ctx: ctx, stop: stop}
}

// run runs something until the background is ended.
func (b *background) run(f func(context.Context) error) {
	b.group.Go(func() error { return f(b.ctx) })
}

// end ends everything and tells what failed.
func (b *background) end() error {
	b.stop()
	return b.group.Wait()
}

// until is ctx, ended too when something in the background fails.
func (b *background) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(b.ctx, cancel)
	return ctx, cancel
}

// keepContainerd brings a managed containerd up and keeps it in the background.
// It returns the path of its socket. damaged is told of a store that was set
// aside.
func (b *background) keepContainerd(ctx context.Context, cfg Config, bundle daemon.Bundle, damaged func(string), log *zap.Logger) (string, error) {
	dc := containerdConfig(cfg)
	dc.Bundle, dc.Damaged, dc.Log = bundle, damaged, log
	containerd, err := daemon.New(dc)
	if err != nil {
		return "", err
	}
	b.run(containerd.Run)
	select {
	case <-containerd.Up():
		return dc.Address(), nil
	case <-b.ctx.Done():
		return "", errors.New("containerd does not run") // why, end tells
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// containerdConfig says where a managed containerd has its files.
func containerdConfig(cfg Config) daemon.Config {
	return daemon.Config{
		Root:   filepath.Join(cfg.Root, "containerd"),
		RunDir: filepath.Join(cfg.RunDir, "containerd"),
	}
}

// readiness tells why podd is not ready, as its start goes on.
type readiness struct {
	waiting atomic.Pointer[string]
	// check is asked once nothing is waited for; it is set before.
	check func() error
}

func (r *readiness) waitFor(what string) { r.waiting.Store(&what) }

// done is called once: from then on check tells.
func (r *readiness) done(check func() error) {
	r.check = check
	r.waiting.Store(nil)
}

// get is what /readyz says.
func (r *readiness) get() error {
	if what := r.waiting.Load(); what != nil {
		return errors.New(*what)
	}
	return r.check()
}
