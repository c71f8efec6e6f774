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
