package pause

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImageName is the built-in image's. The number is raised whenever its content
// changes, so that a newer podd does not take an older one's for its own.
const ImageName = "podd.io/pause:1"

// Program is where the program is in the image; it is also the entry point.
const Program = "/pause"

// annotationImageName is where containerd's import finds a full image name.
const annotationImageName = "io.containerd.image.name"

// Archive is the image as an OCI archive (an image layout in a tar file) for the
// architecture that podd was built for. It is the same bytes every time. The
// caller may keep and change it.
func Archive() ([]byte, error) {
	archive, err := archiveOf(runtime.GOARCH, []byte(program))
	if err != nil {
		return nil, fmt.Errorf("make image %s: %w", ImageName, err)
	}
	return archive, nil
}

// archiveOf makes the image of one program. The layout, in order:
//
//	oci-layout
//	index.json                 the manifest's descriptor, with the image's name
//	blobs/sha256/<manifest>
//	blobs/sha256/<config>
//	blobs/sha256/<layer>       a plain tar: rootFiles
func archiveOf(arch string, program []byte) ([]byte, error) {
	layer, err := tarOf(rootFiles(program))
	if err != nil {
		return nil, err
	}
	layerBlob := blob(v1.MediaTypeImageLayer, layer)
	configBlob, err := jsonBlob(v1.MediaTypeImageConfig, imageConfig(arch, layerBlob.Digest))
	if err != nil {
		return nil, err
	}
	manifestBlob, err := jsonBlob(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    bare(configBlob),
		Layers:    []v1.Descriptor{bare(layerBlob)},
	})
	if err != nil {
		return nil, err
	}
	return layoutOf(arch, manifestBlob, configBlob, layerBlob)
}

// imageConfig runs the program as the user that Kubernetes' pause runs as.
func imageConfig(arch string, layer digest.Digest) v1.Image {
	return v1.Image{
		Platform: v1.Platform{Architecture: arch, OS: "linux"},
		Config:   v1.ImageConfig{User: "65535:65535", Entrypoint: []string{Program}, WorkingDir: "/"},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer}},
	}
}

// layoutOf packs the blobs, the manifest's first, into an image layout.
func layoutOf(arch string, blobs ...v1.Descriptor) ([]byte, error) {
	manifest := bare(blobs[0])
	manifest.Platform = &v1.Platform{Architecture: arch, OS: "linux"}
	manifest.Annotations = map[string]string{annotationImageName: ImageName}
	index, err := json.Marshal(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{manifest},
	})
	if err != nil {
		return nil, err
	}
	version, err := json.Marshal(v1.ImageLayout{Version: v1.ImageLayoutVersion})
	if err != nil {
		return nil, err
	}
	files := []file{{v1.ImageLayoutFile, 0o644, version}, {v1.ImageIndexFile, 0o644, index}}
	for _, b := range blobs {
		path := v1.ImageBlobsDir + "/" + b.Digest.Algorithm().String() + "/" + b.Digest.Encoded()
		files = append(files, file{path, 0o644, b.Data})
	}
	return tarOf(files)
}

// blob describes some content and carries it in Data.
func blob(mediaType string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content)), Data: content}
}

func jsonBlob(mediaType string, content any) (v1.Descriptor, error) {
	data, err := json.Marshal(content)
	return blob(mediaType, data), err
}

// bare is a descriptor without the content.
func bare(d v1.Descriptor) v1.Descriptor {
	d.Data = nil
	return d
}

// file is one entry of a tar archive; a name that ends in a slash is a directory.
type file struct {
	name    string
	mode    int64
	content []byte
}

// rootFiles is the image's root file system. The directories are there so that
// a runtime can mount on them where the root is read-only.
func rootFiles(program []byte) []file {
	return []file{
		{"dev/", 0o755, nil},
		{"etc/", 0o755, nil},
		{"proc/", 0o555, nil},
		{"sys/", 0o555, nil},
		{Program[1:], 0o555, program},
	}
}

// tarOf packs files owned by root, dated 1970: nothing in it varies.
func tarOf(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return out.Bytes(), nil
}
