package runtime_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	snapshot "github.com/containerd/containerd/v2/core/snapshots"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/testbed"
)

// TestStalledPull: a registry from which next to nothing comes does not keep a
// transfer for ever.
func TestStalledPull(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	bed.Config.PullProgressTimeout = 300 * time.Millisecond
	bed.Restart(nil)
	ref, _ := l.push(t, "app:v1")
	l.hold = make(chan struct{})
	defer close(l.hold)
	cfg := pod.PullConfig{Ref: ref, Secrets: [][]byte{secret(t, l.host(), user, password)}}
	stalls := func(what string, cfg pod.PullConfig) {
		t.Helper()
		_, err := bed.Images.Pull(t.Context(), cfg)
		var failure *pod.Failure
		if !errors.As(err, &failure) || failure.Kind != pod.Transient || failure.Reason != "ErrImagePull" ||
			!strings.Contains(failure.Message, "fewer than 65536 bytes came within 300ms") {
			t.Errorf("%s: %v", what, err)
		}
	}
	stalls("nothing comes of a layer", cfg)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	stalls("no answer comes", pod.PullConfig{Ref: strings.TrimPrefix(silent.URL, "http://") + "/app:v1"})
	if left := blobs(t, bed); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestPullForAnotherPlatform: its content is fetched, and not unpacked.
func TestPullForAnotherPlatform(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	foreign := "arm64"
	if goruntime.GOARCH == foreign {
		foreign = "amd64"
	}
	ref := l.pushFor(t, "app:v1", foreign)
	cfg := pod.PullConfig{Ref: ref, Platform: "linux/" + foreign, Secrets: [][]byte{secret(t, l.host(), user, password)}}
	got, err := bed.Images.Pull(t.Context(), cfg)
	if err != nil || got.Size == 0 {
		t.Fatalf("pulled %+v, %v", got, err)
	}
	all, err := bed.Images.List(t.Context())
	if err != nil || len(all) != 1 || all[0].Names[0] != ref {
		t.Errorf("images %+v, %v", all, err)
	}
	unpacked := 0
	snapshots := bed.Client.Containerd().SnapshotService("overlayfs")
	if err := snapshots.Walk(bed.Client.Context(t.Context()), func(context.Context, snapshot.Info) error { unpacked++; return nil }); err != nil || unpacked > 0 {
		t.Errorf("%d layers are unpacked, %v", unpacked, err)
	}
	is(t, check(t, bed, ref, true), pod.ImageSound, "")
	cfg.Platform = "linux/nosuch/v1/v2"
	if _, err := bed.Images.Pull(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "platform: ") {
		t.Errorf("pulled for no platform: %v", err)
	}
}

// TestQueuedPullCancelled: a pull that waits for its turn ends with its caller,
// and takes nobody's turn.
func TestQueuedPullCancelled(t *testing.T) {
	bed, l := testbed.New(t), newLibrary(t)
	bed.Config.MaxPulls = 1
	bed.Restart(nil)
	l.hold = make(chan struct{})
	secrets := [][]byte{secret(t, l.host(), user, password)}
	first, _ := l.push(t, "first:v1")
	second, _ := l.push(t, "second:v1")
	done := make(chan error, 2)
	pull := func(ctx context.Context, ref string) {
		go func() {
			_, err := bed.Images.Pull(ctx, pod.PullConfig{Ref: ref, Secrets: secrets})
			done <- err
		}()
	}
	pull(t.Context(), first)
	for l.blobs.Load() == 0 {
		goruntime.Gosched()
	}
	ctx, giveUp := context.WithCancel(t.Context())
	pull(ctx, second)
	for runtime.Pulling(bed.Client) < 2 {
		goruntime.Gosched()
	}
	giveUp()
	if err := <-done; err == nil {
		t.Error("a cancelled pull succeeded")
	}
	close(l.hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
	pull(t.Context(), second)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
