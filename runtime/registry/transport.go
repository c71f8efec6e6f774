package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"

	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
)

// maxDocument is what a manifest, an index, a configuration or a token may have
// in bytes. It is what other registries and clients allow, too.
const maxDocument = 4 << 20

// maxRefusal is how much of a refusal is read.
const maxRefusal = 64 << 10

// transport sees every request and answer of a visit.
type transport struct {
	next  http.RoundTripper
	visit *Visit
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		t.visit.answers.broke(req, err)
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		if err := t.refused(req, resp); err != nil {
			return nil, err
		}
		return resp, nil
	}
	t.visit.answers.served(req)
	large := limitOf(req)
	if large > 0 && resp.ContentLength > large {
		_ = resp.Body.Close()
		err := fmt.Errorf("the answer has %d bytes, %d are allowed", resp.ContentLength, large)
		t.visit.answers.broke(req, err)
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, req: req, visit: t.visit, limit: large}
	return resp, nil
}

// refused notes what was answered. The text comes with the answer to a GET only:
// one that was not asked for it yet is asked once.
func (t *transport) refused(req *http.Request, resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // as much as there is
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(text))
	challenge := resp.StatusCode == http.StatusUnauthorized && req.Header.Get("Authorization") == ""
	if req.Method == http.MethodHead && !challenge && resp.StatusCode < http.StatusInternalServerError && !t.visit.answers.knows(req) {
		text = t.ask(req)
	}
	t.visit.answers.refused(req, resp, t.visit.cred.redact(says(text, req)))
	if resp.StatusCode == http.StatusTooManyRequests {
		// containerd's library would ask four times more, and at once.
		return remoteerrors.NewUnexpectedStatusErr(resp)
	}
	return nil
}

// ask gives the text of the answer to a GET, which may be none.
func (t *transport) ask(req *http.Request) []byte {
	again := req.Clone(req.Context())
	again.Method = http.MethodGet
	resp, err := t.next.RoundTrip(again)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	return text
}

// limitOf is 0 for layers, whose size a manifest tells.
func limitOf(req *http.Request) int64 {
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request // which was redirected
	}
	if strings.Contains(req.URL.Path, "/blobs/") {
		return 0
	}
	return maxDocument
}

// body is what a registry sends. A connection that is reset ends it as one that
// is closed does: containerd's library goes on where that ended.
type body struct {
	io.ReadCloser
	req   *http.Request
	visit *Visit
	limit int64 // 0 means none
	read  int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.limit > 0 && b.read > b.limit {
		err := fmt.Errorf("the answer has more than the %d bytes that are allowed", b.limit)
		b.visit.answers.broke(b.req, err)
		return 0, err
	}
	if errors.Is(err, syscall.ECONNRESET) {
		b.visit.answers.broke(b.req, err)
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}
