// Package sandbox makes and removes the sandbox that a pod's containers share: the pause
// container, its namespaces, the pod's shared files and /dev/shm. Package sandboxtest
// holds it, and every other kind of sandbox, to what the agent relies on.
//
// cmd/podd imports it to hand it to the agent.
package sandbox
