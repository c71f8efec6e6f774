package runtime

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"

	"github.com/podd-io/podd/pod"
)

// Why an image is pinned: somebody imported it, or an archive of the offline
// directory has it. The label of an archive ends with its file's name, and its
// value tells which version of the file it was.
const (
	labelByHand  = "podd.io/imported-by-hand"
	labelArchive = "podd.io/archive/"
)

// pinning are the labels of an image that keep it here.
func pinning(labels map[string]string) map[string]string {
	pins := maps.Clone(labels)
	maps.DeleteFunc(pins, func(key, _ string) bool {
		return key != labelPinned && key != labelByHand && !strings.HasPrefix(key, labelArchive)
	})
	return pins
}

// pins are those of all images, by name.
func (i Images) pins(ctx context.Context) (map[string]map[string]string, error) {
	all, err := i.cd.ImageService().List(ctx)
	if err != nil {
		return nil, Failure(fmt.Errorf("list images: %w", err), "")
	}
	pins := map[string]map[string]string{}
	for _, img := range all {
		pins[img.Name] = pinning(img.Labels)
	}
	return pins, nil
}

// restorePins gives images the pins back that they had before they were
// replaced.
func (i Images) restorePins(ctx context.Context, replaced []pod.StoredImage, pins map[string]map[string]string) error {
	for _, stored := range replaced {
		for _, name := range stored.Names {
			if err := i.label(ctx, name, pins[name]); err != nil {
				return Failure(fmt.Errorf("keep image %s pinned: %w", name, err), "")
			}
		}
	}
	return nil
}

// label sets labels that an image does not have. One that is gone needs none.
func (i Images) label(ctx context.Context, name string, labels map[string]string) error {
	img, err := i.cd.ImageService().Get(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var fields []string
	for key, value := range labels {
		if _, ok := img.Labels[key]; !ok {
			img.Labels[key] = value
			fields = append(fields, "labels."+key)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	_, err = i.cd.ImageService().Update(ctx, img, fields...)
	return err
}

// Archives tells which files of the offline directory are loaded, and which
// version of each. A file of which an image is damaged is not.
func (i Images) Archives(ctx context.Context) (map[string]string, error) {
	all, err := i.cd.ImageService().List(i.Context(ctx))
	if err != nil {
		return nil, Failure(fmt.Errorf("list images: %w", err), "")
	}
	loaded := map[string]string{}
	damaged := map[string]bool{}
	for _, img := range all {
		for key, version := range img.Labels {
			file, ok := strings.CutPrefix(key, labelArchive)
			if !ok {
				continue
			}
			loaded[file] = version
			damaged[file] = damaged[file] || img.Labels[labelDamaged] != ""
		}
	}
	maps.DeleteFunc(loaded, func(file, _ string) bool { return damaged[file] })
	return loaded, nil
}

// LoadArchive imports a file of the offline directory. Its images are pinned
// until UnloadArchive; those that an earlier version of the file had and this
// one has not are no longer.
func (i Images) LoadArchive(ctx context.Context, file, version string, archive io.Reader) ([]pod.StoredImage, error) {
	loaded, err := i.importAs(ctx, archive, "", map[string]string{labelArchive + file: version})
	if err != nil {
		return nil, err
	}
	return loaded, i.unpin(ctx, file, version)
}

// UnloadArchive unpins the images that only a file that is gone kept. They stay
// until they are collected.
func (i Images) UnloadArchive(ctx context.Context, file string) error {
	return i.unpin(ctx, file, "")
}

// unpin takes from images the pin of all versions of a file but one.
func (i Images) unpin(ctx context.Context, file, but string) error {
	ctx = i.Context(ctx)
	all, err := i.cd.ImageService().List(ctx)
	if err != nil {
		return Failure(fmt.Errorf("list images: %w", err), "")
	}
	for _, img := range all {
		if version, ok := img.Labels[labelArchive+file]; !ok || version == but {
			continue
		}
		if err := i.unpinOne(ctx, img, labelArchive+file); err != nil && !errdefs.IsNotFound(err) {
			return Failure(fmt.Errorf("unpin image %s: %w", img.Name, err), "")
		}
	}
	return nil
}

func (i Images) unpinOne(ctx context.Context, img images.Image, pin string) error {
	delete(img.Labels, pin)
	fields := []string{"labels." + pin}
	if pins := pinning(img.Labels); len(pins) == 1 { // labelPinned alone
		delete(img.Labels, labelPinned)
		fields = append(fields, "labels."+labelPinned)
	}
	_, err := i.cd.ImageService().Update(ctx, img, fields...)
	return err
}
