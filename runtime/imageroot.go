package runtime

import (
	"context"
	"errors"
	"fmt"
)

// ImageRoot is the directory in which containerd keeps what is unpacked of
// images.
func (c *Client) ImageRoot(ctx context.Context) (string, error) {
	resp, err := c.cd.IntrospectionService().Plugins(c.Context(ctx),
		fmt.Sprintf("type==io.containerd.snapshotter.v1,id==%s", c.cfg.Snapshotter))
	if err != nil {
		return "", Failure(fmt.Errorf("ask containerd for its snapshotter: %w", err), "")
	}
	for _, plugin := range resp.Plugins {
		if root := plugin.Exports["root"]; root != "" {
			return root, nil
		}
	}
	return "", Failure(errors.New("containerd does not tell where its snapshotter keeps images"), "")
}
