package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// answerTime is how long a containerd may take until it answers; it grows
	// with what is to be recovered, and with what else a boot has to do.
	answerTime = time.Minute
	// connectTime is how long one try to connect may take.
	connectTime = 5 * time.Second
	// endTime is how long it may take to end after TERM, and after KILL.
	endTime = 10 * time.Second
	// goodRun is how long it has to live for its next death to count as the first.
	goodRun = time.Minute
	// trimEvery is how often its log is looked at.
	trimEvery = 5 * time.Minute
)

// backOff spaces out the starts of a containerd that keeps dying.
func backOff() wait.Backoff {
	return wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 20, Cap: 30 * time.Second}
}

// Containerd is a managed containerd.
type Containerd struct {
	cfg Config
	up  chan struct{}
	// answers is true from the moment it answers until its end is seen.
	answers atomic.Bool
}

// New makes a containerd that Run brings up.
func New(cfg Config) (*Containerd, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	return &Containerd{cfg: cfg, up: make(chan struct{})}, nil
}

// Up is closed once it has answered for the first time.
func (c *Containerd) Up() <-chan struct{} { return c.up }

// Answers says whether it runs, as far as is known.
func (c *Containerd) Answers() bool { return c.answers.Load() }

// Run adopts a running containerd or starts one, starts it again whenever it
// dies, and ends it when ctx ends, an adopted one too. It fails only if the
// first one cannot be brought to answer.
//
// If podd is killed instead, containerd stays, for the next podd to adopt.
func (c *Containerd) Run(ctx context.Context) error {
	p, err := c.adoptOrStart(ctx)
	if err != nil {
		return err
	}
	close(c.up)
	var trimming sync.WaitGroup
	defer trimming.Wait()
	trimming.Go(func() { c.trimLog(ctx) })
	return c.keep(ctx, p)
}

// keep blocks until ctx ends.
func (c *Containerd) keep(ctx context.Context, p *process) error {
	delays := backOff()
	for p != nil {
		since := time.Now()
		if err := c.watch(ctx, p); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(since) > goodRun {
			delays = backOff()
		}
		p = c.restart(ctx, &delays)
	}
	return nil
}

// trimLog keeps the log file bounded until ctx ends.
func (c *Containerd) trimLog(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := trim(c.cfg.LogFile()); err != nil {
				c.cfg.Log.Warn("containerd's log was not trimmed", zap.Error(err))
			}
		}
	}
}

// watch blocks until the process has ended, and ends it when ctx does.
func (c *Containerd) watch(ctx context.Context, p *process) error {
	defer p.release()
	err := p.wait(ctx)
	if ctx.Err() != nil {
		err = p.end(endTime)
	}
	c.answers.Store(false)
	if err != nil {
		return fmt.Errorf("keep containerd: %w", err)
	}
	if ctx.Err() == nil {
		c.cfg.Log.Warn("containerd died", zap.Int("pid", p.pid), zap.String("log", c.cfg.LogFile()))
	}
	return nil
}

// restart tries until it succeeds, or ctx ends: nil then.
func (c *Containerd) restart(ctx context.Context, delays *wait.Backoff) *process {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delays.Step()):
		}
		p, err := c.adoptOrStart(ctx)
		if err == nil {
			return p
		}
		if ctx.Err() == nil {
			c.cfg.Log.Error("containerd does not start", zap.Error(err))
		}
	}
}

// adoptOrStart returns a containerd that answers.
func (c *Containerd) adoptOrStart(ctx context.Context) (*process, error) {
	p, err := find(c.cfg.configFile())
	if err != nil {
		return nil, err
	}
	if p != nil {
		if err = c.answer(ctx, p); err == nil {
			c.cfg.Log.Info("containerd adopted", zap.Int("pid", p.pid))
			return p, nil
		}
		c.cfg.Log.Warn("containerd was left running and does not answer", zap.Int("pid", p.pid), zap.Error(err))
		if err := c.abandon(p); err != nil {
			return nil, fmt.Errorf("end the containerd that was left running: %w", err)
		}
	}
	return c.start(ctx)
}

// start starts a new one and returns once it answers; if it does not, nothing
// is left running.
func (c *Containerd) start(ctx context.Context) (*process, error) {
	if err := c.mend(); err != nil {
		return nil, err
	}
	if err := c.sweep(); err != nil {
		c.cfg.Log.Warn("what an earlier containerd left of tasks could not be removed", zap.Error(err))
	}
	p, err := c.spawn()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.cfg.Bundle.Containerd, err)
	}
	if err := c.answer(ctx, p); err != nil {
		err = fmt.Errorf("start %s: %w: it says: %s", c.cfg.Bundle.Containerd, err, lastLines(c.cfg.LogFile()))
		return nil, errors.Join(err, c.abandon(p))
	}
	c.cfg.Log.Info("containerd started", zap.Int("pid", p.pid), zap.String("path", c.cfg.Bundle.Containerd))
	return p, nil
}

// abandon ends a process that is of no use.
func (c *Containerd) abandon(p *process) error {
	defer p.release()
	return p.end(endTime)
}

// spawn starts the process, in a session of its own and with its own log file:
// it has to live on when podd does not.
func (c *Containerd) spawn() (*process, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	log, err := openLog(c.cfg.LogFile())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(c.cfg.Bundle.Containerd, arguments(c.cfg.configFile())...)
	cmd.Args[0] = "containerd"
	cmd.Dir = "/"
	cmd.Env = environment(os.Environ(), c.cfg.Bundle)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p, err := hold(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return p, cmd.Process.Release()
}

// prepare makes the directories and writes the configuration.
func (c *Containerd) prepare() error {
	for _, dir := range []string{c.cfg.Root, c.cfg.RunDir} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	return os.WriteFile(c.cfg.configFile(), c.cfg.toml(), 0o600)
}

// environment is containerd's: podd's own with the bundle's programs found
// first, and without what systemd gave to podd alone, or what has it make traces of
// its own, that belong to none of podd's.
func environment(env []string, bundle Bundle) []string {
	private := []string{"PATH=", "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_", "OTEL_"}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return slices.ContainsFunc(private, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
	return append(env, "PATH="+bundle.Path(os.Getenv("PATH")))
}

// answer returns nil once containerd serves, or an error when it has ended
// without, or has not for too long.
func (c *Containerd) answer(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errors.New("it does not answer"))
	defer cancel()
	life, died := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if p.wait(life) == nil {
			died(errors.New("it ended"))
		}
	}()
	err := Ping(life, c.cfg.Address())
	if cause := context.Cause(life); err != nil && cause != nil {
		err = cause
	}
	died(nil)
	<-watched
	c.answers.Store(err == nil)
	return err
}

// Ping returns nil once a containerd answers at a socket, and waits for that
// until ctx ends.
func Ping(ctx context.Context, socket string) error {
	conn, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.2, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: connectTime, // or a slow machine would never connect within the back-off
		}))
	if err != nil {
		return fmt.Errorf("reach containerd at %s: %w", socket, err)
	}
	defer conn.Close()
	health := grpc_health_v1.NewHealthClient(conn)
	for {
		_, err = health.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err == nil {
			return nil
		}
		if status.Code(err) != codes.Unavailable || ctx.Err() != nil { // a connection may break midway
			return fmt.Errorf("reach containerd at %s: %w", socket, err)
		}
	}
}
