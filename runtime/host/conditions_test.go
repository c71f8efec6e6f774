package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/podd-io/podd/pod"
)

func TestPathsAndDevices(t *testing.T) {
	dir := t.TempDir()
	file, link, dangling := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink("/dev/null", link), os.Symlink("/nowhere", dangling)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, name string
		want       pod.Standing
	}{
		{pod.AfterPath, dir, pod.Standing{Met: true}},
		{pod.AfterPath, file, pod.Standing{Met: true}},
		{pod.AfterPath, dangling, pod.Standing{Detail: "it is not there"}},
		{pod.AfterPath, file + "/below", pod.Standing{Detail: "stat " + file + "/below: not a directory"}},
		{pod.AfterDevice, "/dev/null", pod.Standing{Met: true, Detail: "it is not a device"}},
		{pod.AfterDevice, link, pod.Standing{Met: true, Detail: "it is not a device"}},
		{pod.AfterDevice, file, pod.Standing{Detail: "it is not a device"}},
		{pod.AfterDevice, "/dev/ttyUSB99", pod.Standing{Detail: "it is not there"}},
	} {
		if got := (Conditions{}).Stands(t.Context(), pod.StartCondition{Kind: c.kind, Name: c.name}); got != c.want {
			t.Errorf("%s %s: %+v", c.kind, c.name, got)
		}
	}
}

func TestUnits(t *testing.T) {
	h := Conditions{Unit: func(_ context.Context, name string) (string, error) {
		if name == "gone.service" {
			return "", errors.New("systemd does not answer")
		}
		return map[string]string{"a.service": "active", "b.service": "activating"}[name], nil
	}}
	for name, want := range map[string]pod.Standing{
		"a.service":    {Met: true, Detail: "it is active"},
		"b.service":    {Detail: "it is activating"},
		"gone.service": {Detail: "systemd does not answer"},
	} {
		if got := h.Stands(t.Context(), pod.StartCondition{Kind: pod.AfterUnit, Name: name, State: "active"}); got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDefaultRoute6(t *testing.T) {
	const zeros = "00000000000000000000000000000000"
	const rest = " 00000400 00000001 00000000 00000003 "
	for table, want := range map[string]bool{
		"": false,
		zeros + " 00 " + zeros + " 00 " + zeros + " ffffffff 00000001 00000000 00200200       lo\n": false,
		"fe80" + zeros[4:] + " 40 " + zeros + " 00 " + zeros + rest + "    eth0\n":                  false,
		zeros + " 00 " + zeros + " 00 fe80" + zeros[5:] + "1" + rest + "    eth0\n":                 true,
		zeros + " 08 " + zeros + " 00 fe80" + zeros[5:] + "1" + rest + "    eth0\n":                 false,
	} {
		if got := hasDefaultRoute6(table); got != want {
			t.Errorf("%q: %v", table, got)
		}
	}
}

// TestTheMachineItself: both can be found out here, whatever they come to.
func TestTheMachineItself(t *testing.T) {
	if _, _, err := defaultRoute(); err != nil {
		t.Error(err)
	}
	if _, _, err := synchronised(); err != nil {
		t.Error(err)
	}
	if got := (Conditions{}).Stands(t.Context(), pod.StartCondition{Kind: "moon"}); got.Met || got.Detail == "" {
		t.Errorf("%+v", got)
	}
}
