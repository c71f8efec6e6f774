package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/manifests"
	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/metrics"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/daemon"
	"github.com/podd-io/podd/runtime/offline"
	"github.com/podd-io/podd/systemd"
	"github.com/podd-io/podd/trace"
)

// podd is one life of the daemon.
type podd struct {
	cfg Config
	// reread reads the configuration as it is now.
	reread func() (Config, error)
	log    *zap.Logger
	tail   logTail
	level  zap.AtomicLevel
	phases phases
	tracer agent.Tracer
	// hups are the wishes to have it read.
	hups chan os.Signal
	// remark is what the status line says beside the number of pods; nil for
	// nothing.
	remark  atomic.Pointer[string]
	started time.Time
	meter   *metrics.Meter
	images  *metrics.Images
	store   *metrics.Store
	// unclean: the podd before was not stopped in order.
	unclean bool
	ready   readiness
	back    *background
	// agent is nil until it has been made.
	agent atomic.Pointer[agent.Agent]
	// reconnects counts those to containerd; nil until there is an agent.
	reconnects atomic.Pointer[atomic.Int64]
	// damage is what to tell of containerd's store once there is an agent.
	damage atomic.Pointer[string]
	// manifests is nil until the directory is read.
	manifests atomic.Pointer[manifests.Directory]
}

// runDaemon is the daemon from its start to its orderly end, which ctx asks for:
// first the agent finishes what is under way, then containerd is ended. Pods
// run on.
func runDaemon(ctx context.Context, cfg Config, reread func() (Config, error)) (err error) {
	d := &podd{
		cfg: cfg, reread: reread, level: zap.NewAtomicLevelAt(cfg.level()), hups: make(chan os.Signal, 1),
		started: time.Now(), tracer: agent.Untraced{}, meter: metrics.NewMeter(), images: metrics.NewImages(), store: metrics.NewStore(), back: newBackground(ctx),
	}
	var endLog func()
	d.log, endLog = newLog(d.level)
	defer endLog()
	signal.Notify(d.hups, syscall.SIGHUP) // it ends nobody, at whatever time it comes
	defer signal.Stop(d.hups)
	d.phases.begin("prepare")
	d.keepLog()
	d.log.Info("podd starts", zap.String("version", readBuild().Version), zap.String("root", cfg.Root))
	for _, dir := range []string{cfg.Root, cfg.RunDir} {
		held, err := lock(dir)
		if err != nil {
			return err
		}
		defer func() { _ = held.Close() }() // the end of the process would do the same
	}
	if err := d.prepare(); err != nil {
		return err
	}
	mark, unclean, err := begin(cfg.Root)
	if err != nil {
		return err
	}
	d.unclean = unclean
	defer func() {
		if err = errors.Join(err, d.back.end()); err == nil {
			err = mark.end()
		}
	}()
	ctx, cancel := d.back.until(ctx)
	defer cancel()
	return d.run(ctx)
}

// prepare finds out what is wrong with the configured directories before
// anything is started.
func (d *podd) prepare() error {
	if err := os.MkdirAll(d.cfg.LogDir, 0o755); err != nil {
		return fmt.Errorf("log-dir: %w", err)
	}
	if d.cfg.Manifests == "" {
		return nil
	}
	if _, err := os.ReadDir(d.cfg.Manifests); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("manifests: %w", err)
	}
	return nil
}

// run brings up one thing after the other. What it starts in the background is
// ended by the caller.
func (d *podd) run(ctx context.Context) error {
	d.back.run(d.heedQuit)
	if err := d.trace(ctx); err != nil {
		return err
	}
	d.ready.waitFor("containerd is not up yet")
	if err := d.serveMetrics(); err != nil {
		return err
	}
	d.back.run(d.feedWatchdog)
	passed, err := systemd.Sockets()
	if err != nil {
		return err
	}
	d.phases.begin("containerd up")
	bundle, socket, err := d.containerd(ctx)
	if err != nil {
		return err
	}
	d.phases.begin("take over what runs")
	d.ready.waitFor("the known pods are not taken up yet")
	p, err := d.takeOver(ctx, socket, bundle)
	if err != nil {
		return err
	}
	defer func() {
		p.usage.Close()
		_ = p.containers.Close() // nothing depends on how it ends
		if err := p.network.Close(); err != nil {
			d.log.Warn("could not remove what is left of the pods' network; the next podd does", zap.Error(err))
		}
	}()
	d.phases.begin("open the store")
	db, err := store.Open(d.storePath(), readBuild().Version)
	if err != nil {
		return err
	}
	return errors.Join(d.runAgent(ctx, p, db, passed), db.Close())
}

func (d *podd) storePath() string { return filepath.Join(d.cfg.Root, storeFile) }

// takeOverTime bounds the start's dealings with containerd.
const takeOverTime = time.Minute

// takeOver assembles the parts and goes on with what an earlier podd left
// running.
func (d *podd) takeOver(ctx context.Context, socket string, bundle daemon.Bundle) (*parts, error) {
	ctx, cancel := context.WithTimeout(ctx, takeOverTime)
	defer cancel()
	root, err := chooseCgroups(d.cfg, d.log)
	if err != nil {
		return nil, err
	}
	cfg := d.cfg
	cfg.CgroupRoot = root
	p, err := assemble(ctx, cfg, socket, bundle, d.imageFound, d.log)
	if err != nil {
		return nil, err
	}
	if d.unclean {
		p.containers.Doubt()
	}
	if err := p.containers.Adopt(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("take over what runs: %w", err), p.containers.Close())
	}
	return p, nil
}

// serveMetrics serves them, and health, from now on.
func (d *podd) serveMetrics() error {
	if d.cfg.MetricsListen == "" {
		return nil
	}
	server, err := metrics.Listen(d.cfg.MetricsListen, metrics.Config{
		Build: readBuild(), Started: d.started, Snapshot: d.snapshot, Usage: d.usage, Meter: d.meter, Images: d.images,
		Store: d.store, StorePath: d.storePath(), Ready: d.ready.get, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.back.run(server.Run)
	return nil
}

// containerd chooses one and, if it is podd's own, brings it up.
func (d *podd) containerd(ctx context.Context) (bundle daemon.Bundle, socket string, err error) {
	chosen, err := choose(ctx, d.cfg, hostContainerd, d.log)
	if err != nil {
		return daemon.Bundle{}, "", err
	}
	bundle, missing := daemon.FindBundle(d.cfg.BundleDir)
	if !chosen.managed() {
		return bundle, string(chosen), d.await(ctx, string(chosen)) // without a bundle, CNI plugins are looked for elsewhere
	}
	if missing != nil {
		return daemon.Bundle{}, "", missing
	}
	socket, err = d.back.keepContainerd(ctx, d.cfg, bundle, d.storeDamaged, d.log)
	return bundle, socket, err
}

// await waits for a containerd that is not podd's to answer: at a boot both
// start at the same time.
func (d *podd) await(ctx context.Context, socket string) error {
	d.log.Info("waiting for containerd to answer", zap.String("socket", socket), zap.Duration("at most", takeOverTime))
	ctx, cancel := context.WithTimeout(ctx, takeOverTime)
	defer cancel()
	return daemon.Ping(ctx, socket)
}

// runAgent runs the agent, with the control endpoint in front of it, until ctx
// ends or either fails.
func (d *podd) runAgent(ctx context.Context, p *parts, db *store.Store, passed map[string]net.Listener) error {
	d.phases.begin("look at the host")
	f := &facts{host: p.host, seccompDefault: d.cfg.SeccompDefault == seccompRuntimeDefault, log: d.log}
	f.setMaxRestart(age(d.cfg.MaxRestart))
	if err := f.refresh(ctx); err != nil {
		return err
	}
	d.back.run(f.keep)
	images := runtime.Images{Client: p.containers}
	archives := offline.New(filepath.Join(d.cfg.Root, "images"), images, d.happened, d.log)
	cfg, err := d.agentConfig(p, f, db, archives)
	if err != nil {
		return err
	}
	a, err := agent.New(cfg)
	if err != nil {
		return err
	}
	listeners, err := d.listen(ctx, passed)
	if err != nil {
		return err
	}
	d.phases.begin("take up the known pods")
	d.reconnects.Store(&p.containers.Reconnects)
	d.agent.Store(a)
	ctx, cancel := d.untilPodsEnd(ctx, a)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Serve(ctx, listeners...) })
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { d.announce(ctx, a, p); return nil })
	group.Go(func() error { d.delayShutdowns(ctx, a); return nil })
	group.Go(func() error { d.reloads(ctx, d.hups, a, f); return nil })
	group.Go(func() error { return d.readManifests(ctx, a) })
	if d.unclean {
		group.Go(func() error { return d.checkImages(ctx, images.VerifyOnce, archives.Look) })
	}
	group.Go(func() error { return archives.Run(ctx) })
	return group.Wait()
}

// readManifests applies the manifests directory, once the pods that were known
// before are taken up.
func (d *podd) readManifests(ctx context.Context, a *agent.Agent) error {
	if d.cfg.Manifests == "" {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-a.Taken():
	}
	dir := manifests.New(d.cfg.Manifests, a, d.log)
	d.manifests.Store(dir)
	return dir.Run(ctx)
}

// announce tells everybody that podd is ready and, once ctx ends, that it stops.
func (d *podd) announce(ctx context.Context, a *agent.Agent, p *parts) {
	select {
	case <-ctx.Done():
		return
	case <-a.Taken():
	}
	d.phases.end()
	if what := d.damage.Load(); what != nil {
		d.storeDamaged(*what)
	}
	d.ready.done(func() error { return working(a, p) })
	d.log.Info("podd is ready", zap.Strings("listen", d.cfg.Listen), zap.Int("pods", len(a.Snapshot().Pods())))
	d.tell(systemd.Ready(d.status(a)))
	d.keepStatus(ctx, a)
	d.log.Info("podd stops; pods run on")
	d.tell(systemd.Stopping())
}

// statusEvery is how old systemd's status line may be.
const statusEvery = 2 * time.Second

// keepStatus keeps it current until ctx ends.
func (d *podd) keepStatus(ctx context.Context, a *agent.Agent) {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	var seen *agent.Snapshot
	said := ""
	for {
		if now := a.Snapshot(); now != seen {
			seen = now
			if text := d.status(a); text != said {
				said = text
				d.tell(systemd.Status(text))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// working tells why podd cannot work, if so.
func working(a *agent.Agent, p *parts) error {
	if !a.Ready() {
		return errors.New("podd is stopping")
	}
	return p.containers.Ready(context.Background())
}

// trace makes traces of the pods' starts if the environment asks for them.
func (d *podd) trace(ctx context.Context) error {
	if !trace.Asked(os.Getenv) {
		return nil
	}
	hostname, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("export traces: %w", err)
	}
	tracer, err := trace.New(ctx, os.Getenv, readBuild().Version, cmp.Or(d.cfg.NodeName, hostname), d.log)
	if err != nil {
		return err
	}
	d.log.Info("pod starts are traced")
	d.tracer = tracer
	d.back.run(tracer.Run)
	return nil
}

// tell logs what systemd could not be told: that is no reason to end.
func (d *podd) tell(err error) {
	if err != nil {
		d.log.Warn("systemd was not told", zap.Error(err))
	}
}
