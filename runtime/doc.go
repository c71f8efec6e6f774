// Package runtime drives containerd: images, containers, exec, events. With its
// subpackages it is the only importer of containerd.
//
// cmd/podd imports it to hand it to the agent.
package runtime
