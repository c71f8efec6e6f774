// Package fake is a host in memory: it implements all ports of package agent
// in the time of package time, virtual time included, can fail every effect
// before it happened and after it happened, can hang, lose containerd and
// survive the death of podd, and holds what is done to it against the contract
// of the ports.
//
// Tests of package agent import it, and those of programs that talk to podd.
package fake
