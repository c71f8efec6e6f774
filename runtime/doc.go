// Package runtime drives containerd: images, containers, their output, exec,
// events. With its subpackages it is the only importer of containerd. What podd
// has to know again after a restart is in the labels of containerd's records;
// errors leave here as *pod.Failure.
//
// cmd/podd imports it to hand it to the agent.
package runtime
