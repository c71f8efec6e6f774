// Package manifest reads Kubernetes manifests, files of YAML or JSON documents,
// into the objects of podd's control API. It is strict where YAML would lose
// evidence: a key given twice is refused, with its place. podctl imports it,
// and the agent's manifests directory.
package manifest
