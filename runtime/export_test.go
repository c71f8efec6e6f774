package runtime

import (
	"context"

	"github.com/podd-io/podd/pod"
)

// CreateTask does the first half of Start.
func CreateTask(ctx context.Context, c *Client, cfg pod.ContainerConfig) error {
	ctx = c.Context(ctx)
	ctr, err := c.cd.LoadContainer(ctx, cfg.ID)
	if err != nil {
		return err
	}
	_, err = c.newTask(ctx, cfg, ctr, c.containerFIFOs(cfg.ID, cfg.Container.Stdin, cfg.Container.TTY))
	return err
}

// Pulling is how many wait for transfers of images.
func Pulling(c *Client) int {
	c.pulls.mu.Lock()
	defer c.pulls.mu.Unlock()
	n := 0
	for _, fl := range c.pulls.all {
		n += fl.waiters
	}
	return n
}
