package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// liar is a registry that has one image, and what else a test gives it; lie may
// answer in its place.
type liar struct {
	*httptest.Server
	blobs           map[string][]byte // by digest
	manifest, layer ocispec.Descriptor
	password        bool

	mu  sync.Mutex
	lie func(w http.ResponseWriter, r *http.Request) (answered bool) // guarded by mu
	// sent counts bytes of endless answers.
	sent atomic.Int64
}

const team = "/team/app:v1"

func newLiar(t *testing.T) *liar {
	t.Helper()
	l := &liar{blobs: map[string][]byte{}}
	img := newImage(t, 1)
	layers, err := img.Layers()
	must(t, err)
	stream, err := layers[0].Compressed()
	must(t, err)
	content, err := io.ReadAll(stream)
	must(t, err)
	kind, err := layers[0].MediaType()
	must(t, err)
	l.layer = l.add(string(kind), content)
	config, err := img.RawConfigFile()
	must(t, err)
	l.add("", config)
	manifest, err := img.RawManifest()
	must(t, err)
	kind, err = img.MediaType()
	must(t, err)
	l.manifest = l.add(string(kind), manifest)
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

// add takes a blob, and describes it.
func (l *liar) add(kind string, content []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: kind, Digest: digest.FromBytes(content), Size: int64(len(content))}
	l.blobs[d.Digest.String()] = content
	return d
}

func (l *liar) host() string { return l.Listener.Addr().String() }

// on has the next lie told.
func (l *liar) on(lie func(w http.ResponseWriter, r *http.Request) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
}

// ServeHTTP implements http.Handler.
func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	lie := l.lie
	l.mu.Unlock()
	if _, password, _ := r.BasicAuth(); l.password && password != "secret" {
		w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if lie == nil || !lie(w, r) {
		l.truth(w, r)
	}
}

func (l *liar) truth(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if name == "v1" {
		name = l.manifest.Digest.String()
	}
	blob, ok := l.blobs[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if strings.Contains(r.URL.Path, "/manifests/") {
		var kind struct{ MediaType string }
		_ = json.Unmarshal(blob, &kind)
		w.Header().Set("Content-Type", kind.MediaType)
	}
	w.Header().Set("Docker-Content-Digest", name)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
}

// layers makes a lie about GETs of the layer alone.
func (l *liar) layers(lie func(w http.ResponseWriter, r *http.Request) bool) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/blobs/"+l.layer.Digest.String()) && lie(w, r)
	}
}

func manifests(method string, lie func(w http.ResponseWriter, r *http.Request)) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method && method != "" || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		lie(w, r)
		return true
	}
}

// half sends half of the layer and ends the connection, by a reset if so asked.
func (l *liar) half(reset bool) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return false
		}
		defer conn.Close()
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0)
		}
		blob := l.blobs[l.layer.Digest.String()]
		fmt.Fprintf(buffer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(blob))
		_, _ = buffer.Write(blob[:len(blob)/2])
		_ = buffer.Flush()
		return true
	}
}

// once tells a lie one time.
func once(lie func(w http.ResponseWriter, r *http.Request) bool) func(w http.ResponseWriter, r *http.Request) bool {
	var told atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) bool {
		return !told.Load() && lie(w, r) && !told.Swap(true)
	}
}

// endless sends until it is left.
func (l *liar) endless(w http.ResponseWriter, what string) {
	chunk := []byte(strings.Repeat(what, 64<<10/len(what)))
	for {
		n, err := w.Write(chunk)
		l.sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func other(blob []byte) []byte {
	changed := bytes.Clone(blob)
	changed[len(changed)-1] ^= 1
	return changed
}

// kept is everything in the content store and the snapshotter: what is whole,
// what is under way, what protects it.
func (n *node) kept() (all []string) {
	n.t.Helper()
	ctx, cd := n.Client.Context(n.t.Context()), n.Client.Containerd()
	n.Check(cd.ContentStore().Walk(ctx, func(info content.Info) error {
		all = append(all, "blob "+info.Digest.String())
		return nil
	}))
	ingests, err := cd.ContentStore().ListStatuses(ctx)
	n.Check(err)
	for _, ingest := range ingests {
		all = append(all, "ingest "+ingest.Ref)
	}
	leases, err := cd.LeasesService().List(ctx)
	n.Check(err)
	for _, lease := range leases {
		all = append(all, "lease "+lease.ID)
	}
	images, err := n.Images.List(ctx)
	n.Check(err)
	for _, image := range images {
		all = append(all, "image "+image.ID)
	}
	n.Check(cd.SnapshotService("overlayfs").Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		all = append(all, "snapshot "+info.Name)
		return nil
	}))
	return all
}

func TestLies(t *testing.T) {
	n, l, honest := newNode(t), newLiar(t), newLiar(t)
	blob := l.blobs[l.layer.Digest.String()]
	status := func(code int, header ...string) func(w http.ResponseWriter, r *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\ndown"}]}`))
		}
	}
	for what, c := range map[string]struct {
		lie  func(w http.ResponseWriter, r *http.Request) bool
		want []string
	}{
		"another manifest": {manifests(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(other(l.blobs[l.manifest.Digest.String()]))
		}), []string{"unexpected commit digest", l.manifest.Digest.String()}},
		"another layer": {l.layers(func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write(other(blob))
			return true
		}), []string{"unexpected commit digest", l.layer.Digest.String()}},
		"a layer that is larger": {l.layers(func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write(blob)
			l.endless(w, "more")
			return true
		}), []string{"read past expected size"}},
		"a layer that is smaller": {l.layers(func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write(blob[:10])
			return true
		}), []string{"unexpected EOF"}},
		"half a layer":            {l.layers(l.half(false)), []string{"unexpected EOF"}},
		"resets in mid-body":      {l.layers(l.half(true)), []string{l.host(), "connection reset by peer"}},
		"too many requests":       {manifests("", status(http.StatusTooManyRequests, "Retry-After", "30")), []string{"registry is unavailable", "429 Too Many Requests (TOOMANYREQUESTS: slow down), and to retry after 30"}},
		"trouble in the registry": {manifests("", status(http.StatusInternalServerError)), []string{"registry is unavailable", "500 Internal Server Error"}},
		"trouble with a layer": {l.layers(func(w http.ResponseWriter, r *http.Request) bool {
			status(http.StatusBadGateway)(w, r)
			return true
		}), []string{"registry is unavailable", "502 Bad Gateway (TOOMANYREQUESTS: slow down)"}},
		"endless redirects": {manifests("", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"?again="+r.URL.RawQuery, http.StatusFound)
		}), []string{l.host() + ": stopped after 10 redirects"}},
		"a manifest of 100 MB": {manifests("", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Docker-Content-Digest", l.manifest.Digest.String())
			w.Header().Set("Content-Length", "104857600")
			if r.Method == http.MethodGet {
				l.endless(w, "{")
			}
		}), []string{"the answer has 104857600 bytes, 4194304 are allowed"}},
		"a manifest without end": {manifests("", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Transfer-Encoding", "chunked")
			if r.Method == http.MethodGet {
				l.endless(w, "{")
			}
		}), []string{"more than the 4194304 bytes that are allowed"}},
	} {
		t.Run(what, func(t *testing.T) {
			n.t = t
			l.sent.Store(0)
			l.on(c.lie)
			var others sync.WaitGroup
			others.Go(func() { n.pulls("an honest registry at the same time", honest.host()+team) })
			n.fails(what, l.host()+team, c.want...)
			others.Wait()
			if sent := l.sent.Load(); sent > 16<<20 {
				t.Errorf("%d bytes were taken", sent)
			}
			l.on(nil)
			if left := n.kept(); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			n.pulls("thereafter", l.host()+team)
		})
	}
}

// TestAConnectionMayBreakOnce: the transfer goes on where it ended.
func TestAConnectionMayBreakOnce(t *testing.T) {
	n, l := newNode(t), newLiar(t)
	for what, lie := range map[string]func(w http.ResponseWriter, r *http.Request) bool{"closed": l.half(false), "reset": l.half(true)} {
		var ranges atomic.Int32
		lie := once(l.layers(lie))
		l.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") != "" {
				ranges.Add(1)
			}
			return lie(w, r)
		})
		n.pulls(what, l.host()+team)
		if ranges.Load() == 0 {
			t.Errorf("%s: it began anew, or there was no break", what)
		}
	}
}

// TestPasswordsDoNotFollow a redirect to another host, be it only another port.
func TestPasswordsDoNotFollow(t *testing.T) {
	n, l := newNode(t), newLiar(t)
	l.password = true
	elsewhere := &liar{blobs: l.blobs, manifest: l.manifest}
	var leaks atomic.Int32
	watch := func(w http.ResponseWriter, r *http.Request) bool {
		form, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Key") != "" || bytes.Contains(form, []byte("secret")) {
			leaks.Add(1)
		}
		return false
	}
	elsewhere.on(watch)
	elsewhere.Server = httptest.NewServer(elsewhere)
	t.Cleanup(elsewhere.Close)
	good := secretFor(l.host(), "secret")
	n.hosts(l.host(), fmt.Sprintf("[host.%q]\n[host.%q.header]\nX-Key = \"secret\"\n", l.URL, l.URL))
	away := func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path+"?signature=secret", http.StatusTemporaryRedirect)
		return true
	}

	l.on(away)
	n.pulls("an honest redirect", l.host()+team, good)
	elsewhere.on(func(w http.ResponseWriter, r *http.Request) bool {
		watch(w, r)
		w.Header().Set("WWW-Authenticate", `Basic realm="there"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	n.failsWith("a host that asks for the password", l.host()+team, [][]byte{good}, elsewhere.host()+" answered 401")
	elsewhere.on(func(w http.ResponseWriter, r *http.Request) bool {
		watch(w, r)
		http.Redirect(w, r, l.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	})
	n.failsWith("back without the password", l.host()+team, [][]byte{good}, l.host()+" answered 401")
	elsewhere.on(watch)
	l.password = false
	l.on(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/token") {
			return away(w, r)
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q,service=\"s\"", l.URL+"/token"))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	n.failsWith("a token server that sends on", l.host()+team, [][]byte{good}, "redirected to another host with credentials")
	if leaks.Load() > 0 {
		t.Errorf("the other host was shown credentials %d times", leaks.Load())
	}
}

// TestAWrongPasswordIsShownOnce, and once more for what the registry says of it:
// some lock who shows it too often.
func TestAWrongPasswordIsShownOnce(t *testing.T) {
	n, l := newNode(t), newLiar(t)
	var shown atomic.Int32
	l.on(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			shown.Add(1)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"not by %s"}]}`, r.Header.Get("Authorization"))
		return true
	})
	n.failsWith("a wrong password", l.host()+team, [][]byte{secretFor(l.host(), "wrong")}, "401 Unauthorized (DENIED: not by Basic (credential))")
	if got := shown.Load(); got != 2 {
		t.Errorf("it was shown %d times", got)
	}
}

// TestTooManyRequestsAreNotMadeMore: by as many again, at once.
func TestTooManyRequestsAreNotMadeMore(t *testing.T) {
	n, l := newNode(t), newLiar(t)
	var asked atomic.Int32
	l.on(func(w http.ResponseWriter, _ *http.Request) bool {
		asked.Add(1)
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	n.hosts(l.host(), fmt.Sprintf("server = %q\n", l.URL))
	n.fails("too many", l.host()+team, "registry is unavailable", "429 Too Many Requests")
	if got := asked.Load(); got != 2 { // once for the text of the answer
		t.Errorf("it was asked %d times", got)
	}
}

// TestATokenWithoutEnd: podd does not read it to its end, or grow with it.
func TestATokenWithoutEnd(t *testing.T) {
	n, l := newNode(t), newLiar(t)
	l.on(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/token") {
			_, _ = w.Write([]byte(`{"token":"`))
			l.endless(w, "x")
			return true
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q,service=\"s\"", l.URL+"/token"))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	n.fails("an endless token", l.host()+team, "more than the 4194304 bytes")
	if sent := l.sent.Load(); sent > 64<<20 {
		t.Errorf("%d bytes were taken", sent)
	}
}

// TestAnImageDoesNotSendPodd elsewhere, as manifests could by a layer's "urls".
func TestAnImageDoesNotSendPodd(t *testing.T) {
	n, l := newNode(t), newLiar(t)
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	var manifest ocispec.Manifest
	must(t, json.Unmarshal(l.blobs[l.manifest.Digest.String()], &manifest))
	manifest.Layers[0].URLs = []string{elsewhere.URL + "/metadata"}
	text, err := json.Marshal(manifest)
	must(t, err)
	l.manifest = l.add(l.manifest.MediaType, text)
	n.pulls("a layer with an address", l.host()+team)
	if asked.Load() > 0 {
		t.Error("podd went where the image said")
	}
}

// TestIndexes: those in indexes, those that claim to hold themselves, and those
// that have nothing for this system.
func TestIndexes(t *testing.T) {
	n, l := newNode(t), newLiar(t)
	platform := &ocispec.Platform{OS: "plan9", Architecture: goruntime.GOARCH}
	image := l.manifest
	index := func(part ocispec.Descriptor) ocispec.Descriptor {
		part.Platform = platform
		text, err := json.Marshal(ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{part},
		})
		must(t, err)
		return l.add(ocispec.MediaTypeImageIndex, text)
	}
	deep := func(levels int) ocispec.Descriptor {
		d := image
		for range levels {
			d = index(d)
		}
		return d
	}
	empty := newLiar(t)
	empty.manifest.Digest = "sha256:none"
	n.hosts(l.host(), fmt.Sprintf("server = %q\n[host.%q]\n", l.URL, empty.URL))
	l.manifest = deep(1)
	n.fails("another system's", l.host()+team, "\": no match for platform in manifest: not found")

	platform.OS = "linux"
	l.manifest = deep(3)
	n.pulls("three levels", l.host()+team)
	l.manifest = deep(1000)
	n.fails("a thousand levels", l.host()+team, "is deeper than the 8 levels that are allowed")

	large := image
	large.Size = 100 << 20
	l.manifest = index(large)
	n.fails("a manifest of 100 MB in an index", l.host()+team, "has 104857600 bytes, 4194304 are allowed")

	self := image
	self.MediaType = ocispec.MediaTypeImageIndex
	self.Size = index(self).Size
	l.manifest = index(self)
	l.blobs[self.Digest.String()] = l.blobs[l.manifest.Digest.String()]
	n.fails("an index that names itself", l.host()+team, "unexpected commit digest")
	if left := n.kept(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
