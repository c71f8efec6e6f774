package describe

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

func (p *page) volumes(volumes []corev1.Volume) {
	if len(volumes) == 0 {
		p.line(0, "Volumes:", none)
		return
	}
	p.line(0, "Volumes:")
	for _, v := range volumes {
		p.line(1, v.Name+":")
		p.volume(v.VolumeSource)
	}
}

func (p *page) volume(v corev1.VolumeSource) {
	switch {
	case v.EmptyDir != nil:
		p.emptyDir(v.EmptyDir)
	case v.HostPath != nil:
		kind := ""
		if v.HostPath.Type != nil {
			kind = string(*v.HostPath.Type)
		}
		p.line(2, "Type:", "HostPath (bare host directory volume)")
		p.line(2, "Path:", v.HostPath.Path)
		p.line(2, "HostPathType:", kind)
	case v.ConfigMap != nil:
		p.line(2, "Type:", "ConfigMap (a volume populated by a ConfigMap)")
		p.line(2, "Name:", v.ConfigMap.Name)
		p.line(2, "Optional:", boolean(v.ConfigMap.Optional))
	case v.Secret != nil:
		p.line(2, "Type:", "Secret (a volume populated by a Secret)")
		p.line(2, "SecretName:", v.Secret.SecretName)
		p.line(2, "Optional:", boolean(v.Secret.Optional))
	case v.DownwardAPI != nil:
		p.line(2, "Type:", "DownwardAPI (a volume populated by information about the pod)")
		p.downward(v.DownwardAPI.Items)
	case v.Projected != nil:
		p.projected(v.Projected)
	case v.PersistentVolumeClaim != nil:
		p.line(2, "Type:", "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)")
		p.line(2, "ClaimName:", v.PersistentVolumeClaim.ClaimName)
		p.line(2, "ReadOnly:", v.PersistentVolumeClaim.ReadOnly)
	case v.Image != nil:
		p.line(2, "Type:", "Image (a container image or OCI artifact)")
		p.line(2, "Reference:", v.Image.Reference)
		p.line(2, "PullPolicy:", v.Image.PullPolicy)
	default:
		p.line(2, "Type:", "<unknown>")
	}
}

func (p *page) emptyDir(e *corev1.EmptyDirVolumeSource) {
	limit := "<unset>"
	if e.SizeLimit != nil && !e.SizeLimit.IsZero() {
		limit = e.SizeLimit.String()
	}
	p.line(2, "Type:", "EmptyDir (a temporary directory that shares a pod's lifetime)")
	p.line(2, "Medium:", e.Medium)
	p.line(2, "SizeLimit:", limit)
}

func (p *page) downward(items []corev1.DownwardAPIVolumeFile) {
	var lines []string
	for _, item := range items {
		switch {
		case item.FieldRef != nil:
			lines = append(lines, fmt.Sprintf("%s -> %s", item.FieldRef.FieldPath, item.Path))
		case item.ResourceFieldRef != nil:
			lines = append(lines, fmt.Sprintf("%s -> %s", item.ResourceFieldRef.Resource, item.Path))
		}
	}
	p.list(2, "Items", lines)
}

func (p *page) projected(v *corev1.ProjectedVolumeSource) {
	p.line(2, "Type:", "Projected (a volume that contains injected data from multiple sources)")
	for _, from := range v.Sources {
		switch {
		case from.ConfigMap != nil:
			p.line(2, "ConfigMapName:", from.ConfigMap.Name)
			p.line(2, "Optional:", boolean(from.ConfigMap.Optional))
		case from.Secret != nil:
			p.line(2, "SecretName:", from.Secret.Name)
			p.line(2, "Optional:", boolean(from.Secret.Optional))
		case from.DownwardAPI != nil:
			p.line(2, "DownwardAPI:", true)
		case from.ServiceAccountToken != nil && from.ServiceAccountToken.ExpirationSeconds != nil:
			p.line(2, "TokenExpirationSeconds:", *from.ServiceAccountToken.ExpirationSeconds)
		}
	}
}
