// Package manifests runs what the files of a directory say: Kubernetes
// manifests, as a kubelet's static pods are given, but with their ConfigMaps
// and Secrets. cmd/podd imports it.
//
// The directory is read as a whole whenever something happens in it, and now
// and then without; what is applied follows from what is read and what is
// stored, so that nothing depends on what was seen before. An object's source
// is its file's path: nobody else may change it.
package manifests
