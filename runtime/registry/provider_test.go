package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const providerHead = `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
`

const providerEntry = `- name: plugin
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["*.example.org", "example.org:5000/team"]
  defaultCacheDuration: 1m
  args: [--one, two]
  env: [{name: WHO, value: podd}]
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// plugin is a provider whose program notes how it was run.
type plugin struct {
	*Provider
	t   *testing.T
	dir string
}

func newPlugin(t *testing.T, script string) *plugin {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.yaml"), providerHead+providerEntry)
	write(t, filepath.Join(dir, "plugin"), "#!/bin/sh\n(cat; echo; echo \"$WHO $*\") >>"+dir+"/log\n"+script)
	all, err := LoadProviders(filepath.Join(dir, "config.yaml"), dir)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d providers, %v", len(all), err)
	}
	return &plugin{all[0], t, dir}
}

// runs are the lines that the program noted.
func (p *plugin) runs() []string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(p.dir, "log"))
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func answering(cacheKey, more string) string {
	return `echo '{"kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/v1","cacheKeyType":"` +
		cacheKey + `",` + more + `"auth":{"*.example.org":{"username":"me","password":"hush"}}}'`
}

func TestAPluginIsRunAsAKubeletDoes(t *testing.T) {
	p := newPlugin(t, answering("Image", ""))
	creds, err := p.provide(t.Context(), "a.example.org/app")
	if err != nil || creds["*.example.org"] != (Credential{"me", "hush"}) {
		t.Fatal(creds, err)
	}
	want := []string{`{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"a.example.org/app"}`, "podd --one two"}
	if got := p.runs(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it was run with %q", got)
	}
	for _, repository := range []string{"example.org/app", "a.b.example.org/app", "example.org:5000/other"} {
		if creds, err := p.provide(t.Context(), repository); creds != nil || err != nil || len(p.runs()) != 1 {
			t.Errorf("%s: %v, %v", repository, creds, err)
		}
	}
}

// TestPluginAnswersAreKept for what their key says, and as long as they say.
func TestPluginAnswersAreKept(t *testing.T) {
	for what, c := range map[string]struct {
		answer                string
		same, other, elsehost bool // asked again thereafter
		after                 time.Duration
	}{
		"by image":              {answer: answering("Image", ""), other: true, elsehost: true},
		"by registry":           {answer: answering("Registry", ""), elsehost: true},
		"for all":               {answer: answering("Global", "")},
		"not at all":            {answer: answering("Global", `"cacheDuration":"0s",`), same: true, other: true, elsehost: true},
		"until the default":     {answer: answering("Global", ""), same: true, after: time.Minute},
		"for longer if it says": {answer: answering("Global", `"cacheDuration":"2m",`), after: time.Minute},
	} {
		p := newPlugin(t, c.answer)
		now := time.Unix(1000, 0)
		p.now = func() time.Time { return now }
		asked := func(repository string) bool {
			if _, err := p.provide(t.Context(), repository); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			return len(p.runs()) > 1
		}
		if !asked("a.example.org/app") {
			t.Errorf("%s: it was not run", what)
		}
		now = now.Add(c.after)
		if asked("a.example.org/app") != c.same || asked("a.example.org/else") != c.other || asked("b.example.org/app") != c.elsehost {
			t.Errorf("%s: it was asked again, or not", what)
		}
	}
}

func TestPullsAtATimeAskAPluginOnce(t *testing.T) {
	p := newPlugin(t, answering("Global", ""))
	var pulls sync.WaitGroup
	for range 5 {
		pulls.Go(func() {
			if creds, err := p.provide(t.Context(), "a.example.org/app"); err != nil || len(creds) != 1 {
				t.Error(err)
			}
		})
	}
	pulls.Wait()
	if runs := p.runs(); len(runs) != 2 {
		t.Errorf("it was run %d times", len(runs)/2)
	}
}

// TestBrokenPlugins: the pull goes on without them; neither error nor log has
// what they wrote.
func TestBrokenPlugins(t *testing.T) {
	for script, want := range map[string]string{
		"echo hush; echo hush >&2; exit 7": "exit status 7",
		"echo hush":                        "is not the JSON",
		answering("Image", `"hush":1,`):    "is not the JSON",
		answering("hush", ""):              "cacheKeyType",
		"echo '{\"kind\":\"hush\"}'":       "is not a CredentialProviderResponse of",
		"yes hush":                         "plugin: ",
	} {
		p := newPlugin(t, script)
		core, logged := observer.New(zap.DebugLevel)
		a, err := New(Config{Providers: []*Provider{p.Provider}}, zap.New(core)).Access(t.Context(), "a.example.org/app:v1", nil)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		got := a.Visit(Credential{}).Failure(errors.New("refused")).Error()
		if !strings.Contains(got, "refused; the credential provider plugin failed: ") || !strings.Contains(got, want) || strings.Contains(got, "hush") {
			t.Errorf("%s: %s", script, got)
		}
		for _, entry := range logged.All() {
			if text := entry.Message + entry.ContextMap()["why"].(string); strings.Contains(text, "hush") {
				t.Error(text)
			}
		}
	}
}

// TestAPluginThatHangs ends with the pull, with what it started.
func TestAPluginThatHangs(t *testing.T) {
	p := newPlugin(t, "sleep 1000 & wait")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := p.provide(ctx, "a.example.org/app")
		ended <- err
	}()
	for {
		if _, err := os.Stat(filepath.Join(p.dir, "log")); err == nil {
			break
		}
	}
	began := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(began) > 4*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestWhatIsWrongWithProvidersIsNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "plugin"), "#!/bin/sh\n")
	file := filepath.Join(dir, "config.yaml")
	change := func(old, new string) string { return providerHead + strings.Replace(providerEntry, old, new, 1) }
	for text, want := range map[string]string{
		"": `apiVersion "", kind ""`,
		strings.Replace(providerHead, "/v1", "/v2", 1) + providerEntry: `apiVersion "kubelet.config.k8s.io/v2"`,
		providerHead: "providers: there has to be one",
		providerHead + providerEntry + providerEntry:                                    `providers[1].name: there are two of the name "plugin"`,
		change("name: plugin", "name: nosuch"):                                          "providers[0].name: the plugin can't be run",
		change("name: plugin", "name: ../plugin"):                                       `providers[0].name: "../plugin" is not the name of a program`,
		change("kubelet.k8s.io/v1", "kubelet.k8s.io/v2"):                                "providers[0].apiVersion",
		change("matchImages", "matchImage"):                                             `unknown field "providers[0].matchImage"`,
		change("args:", "Args:"):                                                        `unknown field "providers[0].Args"`,
		change("defaultCacheDuration: 1m", ""):                                          "providers[0].defaultCacheDuration: it is missing",
		change("1m", "-1m"):                                                             "providers[0].defaultCacheDuration: it is negative",
		change("1m", "soon"):                                                            "soon",
		change(`["*.example.org", "example.org:5000/team"]`, "[]"):                      "providers[0].matchImages: there has to be one",
		change(`"*.example.org"`, `"[.example.org"`):                                    "providers[0].matchImages[0]",
		change(`"*.example.org"`, `"https://example.org"`):                              "providers[0].matchImages[0]",
		change("  args", "  tokenAttributes: {serviceAccountTokenAudience: a}\n  args"): "providers[0].tokenAttributes: not supported yet",
		providerHead + "- name: a\n  name: b\n":                                         "already set",
	} {
		write(t, file, text)
		_, err := LoadProviders(file, dir)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s\n%v\nwant %q", text, err, want)
		}
	}
}

func TestADirectoryOfProviders(t *testing.T) {
	dir, confs := t.TempDir(), t.TempDir()
	if _, err := LoadProviders(confs, dir); err == nil || !strings.Contains(err.Error(), confs) {
		t.Errorf("an empty directory: %v", err)
	}
	for _, name := range []string{"one", "two"} {
		write(t, filepath.Join(dir, name), "#!/bin/sh\n")
	}
	write(t, filepath.Join(confs, "2.yaml"), providerHead+strings.Replace(providerEntry, "plugin", "one", 1))
	write(t, filepath.Join(confs, "1.yml"), providerHead+strings.Replace(providerEntry, "plugin", "two", 1))
	write(t, filepath.Join(confs, "notes.txt"), "nothing")
	all, err := LoadProviders(confs, dir)
	if err != nil || len(all) != 2 || all[0].name() != "two" || all[1].name() != "one" {
		t.Errorf("%d providers, %v", len(all), err)
	}
	if all, err := LoadProviders("", ""); all != nil || err != nil {
		t.Errorf("nothing configured: %v, %v", all, err)
	}
}
