package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/podd-io/podd/pod"
)

// hook runs a lifecycle hook to its end.
func (a *Agent) hook(ctx context.Context, cfg *pod.HookConfig) error {
	h := &cfg.Handler
	switch {
	case h.Exec != nil:
		var out limited
		code, err := a.cfg.Execer.Exec(ctx, cfg.ContainerID, pod.ExecCommand{
			Args: h.Exec.Command, Stdio: pod.Stdio{Stdout: &out, Stderr: &out},
		})
		if err == nil && code != 0 {
			err = fmt.Errorf("command %q exited with %d: %s", h.Exec.Command, code, out.String())
		}
		return err
	case h.HTTPGet != nil:
		return a.cfg.Caller.Call(ctx, cfg.Host, h.HTTPGet)
	case h.Sleep != nil:
		if !sleep(ctx, time.Duration(h.Sleep.Seconds)*time.Second) {
			return ctx.Err()
		}
		return nil
	}
	return fmt.Errorf("the %s hook of container %s has no handler that can be run", cfg.Kind, cfg.Container)
}
