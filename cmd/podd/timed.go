package main

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/store"
)

// timed is a store that tells how long its writes take.
type timed struct {
	agent.Store
	wrote func(what string, took time.Duration, err error)
}

func (s timed) time(what string, write func() error) error {
	began := time.Now()
	err := write()
	s.wrote(what, time.Since(began), err)
	return err
}

// Commit implements agent.Store.
func (s timed) Commit(c store.Change) error {
	return s.time("objects", func() error { return s.Store.Commit(c) })
}

// PutMemo implements agent.Store.
func (s timed) PutMemo(uid types.UID, memo []byte, decisions ...[]byte) error {
	return s.time("memo", func() error { return s.Store.PutMemo(uid, memo, decisions...) })
}

// PutEvents implements agent.Store.
func (s timed) PutEvents(put map[string][]byte, remove []string) error {
	return s.time("events", func() error { return s.Store.PutEvents(put, remove) })
}
