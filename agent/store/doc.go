// Package store keeps on disk what must not be lost: objects, memos and events, in bbolt.
//
// The agent imports it.
package store
