// Package store keeps on disk what must not be lost: objects, what is
// remembered of pods, events, and decisions, in one bbolt file. A write is on disk
// when it returns; one that fails has changed nothing.
//
// The agent imports it.
package store
