package pod

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// volume makes one volume ready and keeps its content up to date, and says
// whether the pod may use it. What it refers to may be missing: it waits for
// that, or once it was there stays as it was.
func (d *decision) volume(v *corev1.Volume) bool {
	have, here := d.in.Seen.Volumes[v.Name]
	about := "volume/" + v.Name
	files, fixed, err := volumeFiles(v, d.in.Refs)
	if err != nil {
		d.tell(about, volumeFailed(v.Name, err.Error()))
		return here
	}
	hash := ""
	if files != nil {
		hash = contentHash(files)
	}
	if here && (have == hash || fixed) {
		d.settled(about)
		return true
	}
	cfg := &VolumeConfig{UID: d.pod.UID, Volume: *v, Files: files, Hash: hash}
	if sc := d.pod.Spec.SecurityContext; sc != nil {
		cfg.FSGroup, cfg.FSGroupChangePolicy = sc.FSGroup, sc.FSGroupChangePolicy
	}
	why := "it is not there"
	if here {
		why = "its content changed"
	}
	d.want(Action{Kind: SetupVolume, Subject: SubjectVolume(v.Name), Reason: why, Volume: cfg})
	return here
}

func volumeFailed(name, message string) Event {
	return warning("FailedMount", fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s", name, message), "")
}

// volumeFiles is the content of a volume that is made from an object; nil for
// the other kinds. fixed says that the object is immutable, and not followed.
func volumeFiles(v *corev1.Volume, refs Refs) (files map[string]File, fixed bool, err error) {
	switch {
	case v.ConfigMap != nil:
		return configMapFiles(v.ConfigMap, refs.ConfigMaps[v.ConfigMap.Name])
	case v.Secret != nil:
		return secretFiles(v.Secret, refs.Secrets[v.Secret.SecretName])
	}
	return nil, false, nil
}

func configMapFiles(src *corev1.ConfigMapVolumeSource, cm *corev1.ConfigMap) (map[string]File, bool, error) {
	optional := isTrue(src.Optional)
	data := map[string][]byte{}
	fixed := false
	if cm == nil {
		if !optional {
			return nil, false, fmt.Errorf("configmap %q not found", src.Name)
		}
	} else {
		fixed = isTrue(cm.Immutable)
		for k, v := range cm.Data {
			data[k] = []byte(v)
		}
		maps.Copy(data, cm.BinaryData)
	}
	files, absent := project(data, src.Items, src.DefaultMode, optional)
	if absent != "" {
		return nil, false, fmt.Errorf("configmap references non-existent config key: %s", absent)
	}
	return files, fixed, nil
}

func secretFiles(src *corev1.SecretVolumeSource, secret *corev1.Secret) (map[string]File, bool, error) {
	optional := isTrue(src.Optional)
	var data map[string][]byte
	fixed := false
	if secret == nil {
		if !optional {
			return nil, false, fmt.Errorf("secret %q not found", src.SecretName)
		}
	} else {
		data, fixed = secret.Data, isTrue(secret.Immutable)
	}
	files, absent := project(data, src.Items, src.DefaultMode, optional)
	if absent != "" {
		return nil, false, fmt.Errorf("references non-existent secret key: %s", absent)
	}
	return files, fixed, nil
}

func isTrue(b *bool) bool { return b != nil && *b }

// project makes files of keys: all of them, or those that items name. absent
// is the first named one that is missing and may not be.
func project(data map[string][]byte, items []corev1.KeyToPath, mode *int32, optional bool) (files map[string]File, absent string) {
	perm := corev1.ConfigMapVolumeSourceDefaultMode
	if mode != nil {
		perm = *mode
	}
	files = map[string]File{}
	if len(items) == 0 {
		for k, v := range data {
			files[k] = File{Data: v, Mode: perm}
		}
		return files, ""
	}
	for _, item := range items {
		v, ok := data[item.Key]
		switch {
		case !ok && optional:
			continue
		case !ok:
			return nil, item.Key
		}
		f := File{Data: v, Mode: perm}
		if item.Mode != nil {
			f.Mode = *item.Mode
		}
		files[item.Path] = f
	}
	return files, ""
}

// contentHash tells contents apart: paths, modes and data.
func contentHash(files map[string]File) string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f := files[path]
		h.Write(fmt.Appendf(nil, "%q %o %d\n", path, f.Mode, len(f.Data)))
		h.Write(f.Data)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
