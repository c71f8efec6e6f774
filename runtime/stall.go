package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/content"

	"github.com/podd-io/podd/pod"
)

const (
	// leastProgress is how many bytes have to come within the time that a
	// transfer may make no progress: less is as good as nothing.
	leastProgress = 64 << 10
	// pullTime is what a transfer has in all, from its turn on.
	pullTime = time.Hour
)

// bounded ends a transfer that makes no progress, or takes far too long. Its
// cause is a *pod.Failure. The caller calls the function in the end.
func (i Images) bounded(ctx context.Context, name string, parts *progress) (context.Context, context.CancelFunc) {
	ctx, timeout := context.WithTimeoutCause(ctx, pullTime, pullEnded("failed to pull image %q: it took longer than %s", name, pullTime))
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		if failure := i.watchProgress(ctx, name, parts, i.cd.ContentStore()); failure != nil {
			end(failure)
		}
	}()
	return ctx, func() { end(nil); timeout() }
}

func pullEnded(format string, args ...any) error {
	return &pod.Failure{Kind: pod.Transient, Reason: "ErrImagePull", Message: fmt.Sprintf(format, args...)}
}

// watchProgress looks at a transfer until ctx ends or nothing comes any more.
// Once everything is here it is unpacked, which takes its time.
func (i Images) watchProgress(ctx context.Context, name string, parts *progress, store content.Store) error {
	allowed := i.cfg.PullProgressTimeout
	tick := time.NewTicker(allowed / 10)
	defer tick.Stop()
	since, begin := time.Now(), int64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		done, total, err := parts.bytes(ctx, store)
		if err != nil {
			continue // containerd is away; the transfer fails by itself
		}
		if done-begin >= leastProgress || done < begin || total > 0 && done >= total {
			since, begin = time.Now(), done
		}
		if time.Since(since) >= allowed {
			return pullEnded("failed to pull image %q: fewer than %d bytes came within %s, %d of %s are here", name, leastProgress, allowed, done, known(total))
		}
	}
}

func known(total int64) string {
	if total == 0 {
		return "an unknown number"
	}
	return fmt.Sprint(total)
}
