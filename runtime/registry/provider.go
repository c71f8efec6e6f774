package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1"
	credentialprovider "k8s.io/kubelet/pkg/apis/credentialprovider/v1"
	strictjson "sigs.k8s.io/json"
)

const (
	// providerTime is what a plugin has to answer, as with a kubelet.
	providerTime = time.Minute
	// maxProviderAnswer is how much a plugin may say, in bytes.
	maxProviderAnswer = 1 << 20
	// everything is the cache key of an answer that is for all images.
	everything = "<global>"
)

// Provider is a kubelet-style credential provider plugin: a program that is
// asked for the credentials of an image. Its answers are kept for as long as
// it or its configuration says.
type Provider struct {
	config kubeletconfig.CredentialProvider
	path   string
	now    func() time.Time
	// turn lets one ask at a time; those after it find its answer.
	turn chan struct{}

	mu    sync.Mutex
	cache map[string]cached // by image, registry or everything; guarded by mu
}

type cached struct {
	creds map[string]Credential
	until time.Time
}

func newProvider(config kubeletconfig.CredentialProvider, binDir string) *Provider {
	return &Provider{
		config: config, path: filepath.Join(binDir, config.Name), now: time.Now,
		turn: make(chan struct{}, 1), cache: map[string]cached{},
	}
}

func (p *Provider) name() string { return p.config.Name }

// provide gives the credentials for a repository, by what they are for; none
// if the plugin is not for it. Its errors hold nothing that the plugin wrote.
func (p *Provider) provide(ctx context.Context, repository string) (map[string]Credential, error) {
	if !p.isFor(repository) {
		return nil, nil
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if creds, ok := p.recall(repository); ok {
		return creds, nil
	}
	answer, err := p.ask(ctx, repository)
	if err != nil {
		return nil, err
	}
	creds := make(map[string]Credential, len(answer.Auth))
	for key, a := range answer.Auth {
		creds[key] = Credential{a.Username, a.Password}
	}
	return creds, p.keep(repository, answer, creds)
}

func (p *Provider) isFor(repository string) bool {
	for _, pattern := range p.config.MatchImages {
		if fits(pattern, repository) {
			return true
		}
	}
	return false
}

func (p *Provider) recall(repository string) (map[string]Credential, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	host, _, _ := strings.Cut(repository, "/")
	for _, key := range []string{repository, host, everything} {
		if c, ok := p.cache[key]; ok && p.now().Before(c.until) {
			return c.creds, true
		}
	}
	return nil, false
}

func (p *Provider) keep(repository string, answer *credentialprovider.CredentialProviderResponse, creds map[string]Credential) error {
	key := everything
	switch answer.CacheKeyType {
	case credentialprovider.ImagePluginCacheKeyType:
		key = repository
	case credentialprovider.RegistryPluginCacheKeyType:
		key, _, _ = strings.Cut(repository, "/")
	case credentialprovider.GlobalPluginCacheKeyType:
	default:
		return errors.New("the cacheKeyType of its answer is none of Image, Registry, Global")
	}
	duration := p.config.DefaultCacheDuration.Duration
	if answer.CacheDuration != nil {
		duration = answer.CacheDuration.Duration
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for k, c := range p.cache {
		if !now.Before(c.until) {
			delete(p.cache, k)
		}
	}
	if duration > 0 {
		p.cache[key] = cached{creds, now.Add(duration)}
	}
	return nil
}

// ask runs the program.
func (p *Provider) ask(ctx context.Context, repository string) (*credentialprovider.CredentialProviderResponse, error) {
	request, err := json.Marshal(credentialprovider.CredentialProviderRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: providerAPI, Kind: "CredentialProviderRequest"},
		Image:    repository,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, p.config.Args...)
	out := &bounded{left: maxProviderAnswer}
	cmd.Stdin, cmd.Stdout = bytes.NewReader(request), out
	cmd.Env = os.Environ()
	for _, v := range p.config.Env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	// What the program started goes with it, and can't hold its output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return readAnswer(out.text)
}

// readAnswer is strict as to form, and its errors tell nothing of the content.
func readAnswer(text []byte) (*credentialprovider.CredentialProviderResponse, error) {
	var answer credentialprovider.CredentialProviderResponse
	strict, err := strictjson.UnmarshalStrict(text, &answer)
	if err != nil || len(strict) > 0 {
		return nil, errors.New("its answer is not the JSON of a CredentialProviderResponse")
	}
	if answer.APIVersion != providerAPI || answer.Kind != "CredentialProviderResponse" {
		return nil, errors.New("its answer is not a CredentialProviderResponse of " + providerAPI)
	}
	return &answer, nil
}

// bounded keeps what is written up to a size, and fails beyond it. It embeds no
// bytes.Buffer, whose ReadFrom would read on without end.
type bounded struct {
	text []byte
	left int
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrShortBuffer
	}
	b.text = append(b.text, p...)
	return len(p), nil
}
