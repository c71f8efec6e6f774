package runtime

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/podd-io/podd/pod"
)

// flightKey tells transfers apart: by image, and by who may see it.
type flightKey struct {
	name, platform string
	secrets        [sha256.Size]byte
}

func flightOf(name, platform string, secrets [][]byte) flightKey {
	hash := sha256.New()
	for _, secret := range secrets {
		sum := sha256.Sum256(secret)
		hash.Write(sum[:])
	}
	return flightKey{name, platform, [sha256.Size]byte(hash.Sum(nil))}
}

// flights are the transfers under way, those that wait for their turn too.
type flights struct {
	queue queue
	mu    sync.Mutex
	all   map[flightKey]*flight // guarded by mu
}

// flight is one transfer, for all that wait for it.
type flight struct {
	cancel  context.CancelFunc
	waiters int // guarded by flights.mu
	done    chan struct{}
	parts   *progress
	ticket  *ticket
	// image and err are set before done is closed.
	image pod.Pulled
	err   error
}

// fetchFunc is a transfer, which tells of the image's parts.
type fetchFunc func(context.Context, *progress) (pod.Pulled, error)

// progressOf is that of a transfer of a name; nil when there is none.
func (f *flights) progressOf(name string) *progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, fl := range f.all {
		if key.name == name {
			return fl.parts
		}
	}
	return nil
}

// join waits for the transfer of a key, which it starts with fetch, in its turn,
// if none is under way; it has the highest priority of all who wait for it. The
// transfer is cancelled when the last who waits for it leaves,
// and join returns once it has ended then.
func (f *flights) join(ctx context.Context, key flightKey, priority int32, fetch fetchFunc) (pod.Pulled, error) {
	fl := f.enter(ctx, key, priority, fetch)
	select {
	case <-fl.done:
	case <-ctx.Done():
		if f.leave(key, fl) {
			<-fl.done
		}
		return pod.Pulled{}, ctx.Err()
	}
	return fl.image, fl.err
}

func (f *flights) enter(ctx context.Context, key flightKey, priority int32, fetch fetchFunc) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.all[key]; fl != nil {
		fl.waiters++
		f.queue.raise(fl.ticket, priority)
		return fl
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl := &flight{cancel: cancel, waiters: 1, done: make(chan struct{}), parts: &progress{}, ticket: newTicket(priority)}
	if f.all == nil {
		f.all = map[flightKey]*flight{}
	}
	f.all[key] = fl
	go func() {
		defer cancel()
		fl.image, fl.err = f.inTurn(life, fl, fetch)
		f.remove(key, fl)
		close(fl.done)
	}()
	return fl
}

func (f *flights) inTurn(ctx context.Context, fl *flight, fetch fetchFunc) (pod.Pulled, error) {
	if err := f.queue.await(ctx, fl.ticket); err != nil {
		return pod.Pulled{}, err
	}
	defer f.queue.leave()
	began := time.Now()
	got, err := fetch(ctx, fl.parts)
	got.Took = time.Since(began)
	return got, err
}

// leave tells whether the transfer was cancelled: nobody else waits for it.
// Who comes next starts another one.
func (f *flights) leave(key flightKey, fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.waiters--; fl.waiters > 0 {
		return false
	}
	fl.cancel()
	f.removeLocked(key, fl)
	return true
}

func (f *flights) remove(key flightKey, fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(key, fl)
}

func (f *flights) removeLocked(key flightKey, fl *flight) {
	if f.all[key] == fl {
		delete(f.all, key)
	}
}
