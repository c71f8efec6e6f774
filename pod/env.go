package pod

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// environ is a container's environment in the making: envFrom first, then env,
// the later value of a name in the place of the earlier.
type environ struct {
	names  []string
	values map[string]string
}

func (e *environ) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// source is all that a variable's value may come from.
type source struct {
	pod  *corev1.Pod
	spec *corev1.Container
	refs Refs
	node Node
	ips  []string
}

// containerEnv resolves a container's variables, in order, as NAME=value. Its
// error says what is missing, in the kubelet's words.
func containerEnv(p *corev1.Pod, spec *corev1.Container, refs Refs, node Node, ips []string) ([]string, error) {
	src := source{pod: p, spec: spec, refs: refs, node: node, ips: ips}
	env := environ{values: map[string]string{}}
	for _, from := range spec.EnvFrom {
		if err := src.envFrom(&env, from); err != nil {
			return nil, err
		}
	}
	for _, v := range spec.Env {
		if err := src.env(&env, v); err != nil {
			return nil, err
		}
	}
	out := make([]string, len(env.names))
	for i, name := range env.names {
		out[i] = name + "=" + env.values[name]
	}
	return out, nil
}

func (s source) envFrom(env *environ, from corev1.EnvFromSource) error {
	values, err := s.envFromValues(from)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		env.set(from.Prefix+key, values[key])
	}
	return nil
}

func (s source) envFromValues(from corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		if cm := s.refs.ConfigMaps[from.ConfigMapRef.Name]; cm != nil {
			return cm.Data, nil
		}
		return nil, missing("configmap", from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
	case from.SecretRef != nil:
		if secret := s.refs.Secrets[from.SecretRef.Name]; secret != nil {
			return stringValues(secret.Data), nil
		}
		return nil, missing("secret", from.SecretRef.Name, from.SecretRef.Optional)
	}
	return nil, nil
}

func stringValues(data map[string][]byte) map[string]string {
	out := make(map[string]string, len(data))
	for k, v := range data {
		out[k] = string(v)
	}
	return out
}

// missing is the error for an object that is not there, nil if it need not be.
func missing(kind, name string, optional *bool) error {
	if optional != nil && *optional {
		return nil
	}
	return fmt.Errorf("%s %q not found", kind, name)
}

func (s source) env(env *environ, v corev1.EnvVar) error {
	if v.Value != "" || v.ValueFrom == nil {
		env.set(v.Name, expand(v.Value, env.values))
		return nil
	}
	value, ok, err := s.valueFrom(v.ValueFrom)
	if err == nil && ok {
		env.set(v.Name, value)
	}
	return err
}

// valueFrom resolves a reference; not ok is an optional one to nothing.
func (s source) valueFrom(from *corev1.EnvVarSource) (value string, ok bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = s.field(from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err = resourceField(from.ResourceFieldRef, s.pod, s.spec, s.node.Allocatable)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		return s.configMapKey(from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return s.secretKey(from.SecretKeyRef)
	}
	return "", true, nil
}

func (s source) configMapKey(ref *corev1.ConfigMapKeySelector) (string, bool, error) {
	cm := s.refs.ConfigMaps[ref.Name]
	if cm == nil {
		return "", false, missing("configmap", ref.Name, ref.Optional)
	}
	value, ok := cm.Data[ref.Key]
	if !ok && (ref.Optional == nil || !*ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, s.pod.Namespace, ref.Name)
	}
	return value, ok, nil
}

func (s source) secretKey(ref *corev1.SecretKeySelector) (string, bool, error) {
	secret := s.refs.Secrets[ref.Name]
	if secret == nil {
		return "", false, missing("secret", ref.Name, ref.Optional)
	}
	value, ok := secret.Data[ref.Key]
	if !ok && (ref.Optional == nil || !*ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, s.pod.Namespace, ref.Name)
	}
	return string(value), ok, nil
}

// field resolves a field of the pod as the downward API does.
func (s source) field(path string) (string, error) {
	if name, key, ok := subscript(path); ok {
		switch name {
		case "metadata.annotations":
			return s.pod.Annotations[key], nil
		case "metadata.labels":
			return s.pod.Labels[key], nil
		}
		return "", fmt.Errorf("fieldPath %q does not support subscript", path)
	}
	switch path {
	case "metadata.name":
		return s.pod.Name, nil
	case "metadata.namespace":
		return s.pod.Namespace, nil
	case "metadata.uid":
		return string(s.pod.UID), nil
	case "metadata.labels":
		return formatMap(s.pod.Labels), nil
	case "metadata.annotations":
		return formatMap(s.pod.Annotations), nil
	case "spec.nodeName":
		return orElse(s.pod.Spec.NodeName, s.node.Name), nil
	case "spec.serviceAccountName":
		return s.pod.Spec.ServiceAccountName, nil
	case "status.podIP":
		return first(s.ips), nil
	case "status.podIPs":
		return strings.Join(s.ips, ","), nil
	case "status.hostIP":
		return first(s.node.IPs), nil
	case "status.hostIPs":
		return strings.Join(s.node.IPs[:min(len(s.node.IPs), 2)], ","), nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %v", path)
}

// subscript takes metadata.labels['x'] apart.
func subscript(path string) (name, key string, ok bool) {
	rest, ok := strings.CutSuffix(path, "']")
	if !ok {
		return "", "", false
	}
	name, key, ok = strings.Cut(rest, "['")
	return name, key, ok && name != ""
}

// formatMap writes labels or annotations as the downward API does.
func formatMap(m map[string]string) string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, k+"="+strconv.Quote(m[k]))
	}
	return strings.Join(lines, "\n")
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}
