// Package host tells about the machine as a Kubernetes Node: what it has, what
// it is called, how it is reached and how it resolves names. It reads /proc, /sys
// and a few files under /etc, and changes nothing. It is below runtime since it
// is what containers run on.
//
// cmd/podd imports it to hand it to the agent.
package host
