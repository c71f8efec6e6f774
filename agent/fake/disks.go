package fake

import (
	"context"

	"github.com/podd-io/podd/pod"
)

// imageSize is what an image's removal gives back of the images' disk, in
// bytes.
const imageSize = 100

// Fill says how full the disks are now.
func (w *World) Fill(images, logs pod.FileSystem) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.imageDisk, w.logDisk = images, logs
}

// Disks implements agent.Disks.
type Disks struct{ s *Session }

// Images implements agent.Disks.
func (d Disks) Images(context.Context) (pod.FileSystem, error) {
	w := d.s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.imageDisk, nil
}

// Logs implements agent.Disks.
func (d Disks) Logs(context.Context) (pod.FileSystem, error) {
	w := d.s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logDisk, nil
}
