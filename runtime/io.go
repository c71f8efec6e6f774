package runtime

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Log is where a container's output goes, in the CRI format.
type Log interface {
	// Copy reads r to its end; what one read gave is written at once. stream is
	// "stdout" or "stderr". Both streams may be copied at the same time.
	Copy(stream string, r io.Reader) error
	Close() error
}

// drainTime bounds the wait for output of a process that has ended: one that
// it left behind may hold its output open for ever.
const drainTime = 2 * time.Second

func (c *Client) containerFIFOs(id string, stdin, tty bool) fifos {
	return newFIFOs(filepath.Join(c.cfg.RunDir, "io", id), stdin, tty)
}

// pump reads the output of one container into its log.
type pump struct {
	outputs *outputs
	fan     fan
	stdin   string // the FIFO's path; empty without input
	since   time.Time
	done    chan struct{}

	mu sync.Mutex
	// input keeps the container's input open once somebody was attached to it.
	input      *os.File // guarded by mu
	inputEnded bool     // guarded by mu
}

// stop ends the reading and waits for it; the FIFOs stay.
func (p *pump) stop() {
	p.outputs.close()
	p.closeInput()
	<-p.done
}

// startPump starts reading a container's FIFOs, if nobody does yet. hold is for
// a container that has no task yet: the pump's outputs are then released once
// it has.
func (c *Client) startPump(id string, to logPlace, f fifos, hold bool) (*pump, error) {
	if p := c.pumpOf(id); p != nil {
		return p, nil
	}
	outputs, err := f.open(hold)
	if err != nil {
		return nil, err
	}
	log, err := c.cfg.OpenLog(to.path, to.limits)
	if err != nil {
		outputs.close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	p := &pump{outputs: outputs, stdin: f.config.Stdin, since: time.Now(), done: make(chan struct{})}
	var streams sync.WaitGroup
	for stream, r := range outputs.files {
		streams.Go(func() {
			if err := log.Copy(stream, p.fan.tee(stream, r)); err != nil {
				c.log.Error("some of a container's output could not be written to its log",
					zap.String("log", to.path), zap.String("stream", stream), zap.Error(err))
			}
		})
	}
	go func() {
		streams.Wait()
		log.Close()
		p.fan.end()
		close(p.done)
	}()
	c.mu.Lock()
	c.pumps[id] = p
	c.mu.Unlock()
	return p, nil
}

func (c *Client) pumpOf(id string) *pump {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pumps[id]
}

// drain waits until the output of a container that ended at a time is in its
// log, but no longer than drainTime after that or after the reading began.
func (c *Client) drain(id string, ended time.Time) {
	p := c.pumpOf(id)
	if p == nil {
		return
	}
	if ended.Before(p.since) {
		ended = p.since
	}
	select {
	case <-p.done:
	case <-time.After(time.Until(ended.Add(drainTime))):
	}
}

// endPump ends the reading and removes the FIFOs.
func (c *Client) endPump(id string) {
	c.mu.Lock()
	p := c.pumps[id]
	delete(c.pumps, id)
	c.mu.Unlock()
	if p != nil {
		p.stop()
	}
	os.RemoveAll(filepath.Join(c.cfg.RunDir, "io", id))
}
