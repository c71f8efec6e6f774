package runtime_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"

	"github.com/podd-io/podd/runtime"
)

// halfMade is a container whose task containerd is still making for a caller who
// has died: so many tries find its directory.
type halfMade struct {
	containerd.Container
	tries int
}

func (h *halfMade) NewTask(context.Context, cio.Creator, ...containerd.NewTaskOpts) (containerd.Task, error) {
	if h.tries--; h.tries >= 0 {
		return nil, errors.New("mkdir /run/containerd/io.containerd.runtime.v2.task/podd/abc: file exists: unknown")
	}
	return nil, nil
}

func (h *halfMade) Task(context.Context, cio.Attach) (containerd.Task, error) {
	return nil, errdefs.ErrNotFound
}

// TestATaskThatIsHalfMadeIsWaitedFor: podd was killed while containerd made it,
// and the next podd must not take that for the container's failure.
func TestATaskThatIsHalfMadeIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, err := runtime.NewTask(t.Context(), &halfMade{tries: 20}, nil); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := runtime.NewTask(ctx, &halfMade{tries: 1 << 20}, nil); err == nil {
			t.Error("it is waited for without end")
		}
	})
}
