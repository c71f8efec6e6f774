package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zaptest"
)

// TestArchivesAreLookedAtAfterTheCheck: whoever reads the archives at the start
// may be faster than the check that finds their images damaged.
func TestArchivesAreLookedAtAfterTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var did []string
		failures := 1
		verify := func(context.Context) error {
			did = append(did, "verify")
			if failures--; failures >= 0 {
				return errors.New("containerd does not answer")
			}
			return nil
		}
		look := func(context.Context) error { did = append(did, "look"); return nil }
		d := &podd{log: zaptest.NewLogger(t)}
		if err := d.checkImages(t.Context(), verify, look); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"verify", "verify", "look"}, did); diff != "" {
			t.Error(diff)
		}
	})
}
