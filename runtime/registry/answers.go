package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// answers are what went wrong in one visit, and not right thereafter.
type answers struct {
	mu   sync.Mutex
	bad  []answer            // guarded by mu; one for each place
	deny map[string]struct{} // hosts that refused a password; guarded by mu
}

type answer struct {
	host, path string
	status     int    // 0 for none
	what       string // as it is told
}

// served notes an answer that is none of the bad.
func (a *answers) served(req *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bad = slices.DeleteFunc(a.bad, sameAs(req))
}

// broke notes that a request had no answer, or none that can be used.
func (a *answers) broke(req *http.Request, err error) {
	a.note(req, answer{what: fmt.Sprintf("%s: %v", req.URL.Host, err)})
}

// refused notes a refusal and what was said.
func (a *answers) refused(req *http.Request, resp *http.Response, said string) {
	what := req.URL.Host + " answered " + resp.Status
	if said != "" {
		what += " (" + said + ")"
	}
	if after := resp.Header.Get("Retry-After"); after != "" {
		what += ", and to retry after " + printable(after)
	}
	a.note(req, answer{status: resp.StatusCode, what: what})
	if resp.StatusCode == http.StatusUnauthorized && strings.HasPrefix(req.Header.Get("Authorization"), "Basic ") {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.deny == nil {
			a.deny = map[string]struct{}{}
		}
		a.deny[req.URL.Host] = struct{}{}
	}
}

// note keeps of one place the last answer; of the same one again the first,
// which has the text.
func (a *answers) note(req *http.Request, now answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now.host, now.path = req.URL.Host, req.URL.Path
	i := slices.IndexFunc(a.bad, sameAs(req))
	switch {
	case i < 0:
		a.bad = append(a.bad, now)
	case now.status == 0 || a.bad[i].status != now.status || len(now.what) > len(a.bad[i].what):
		a.bad[i] = now
	}
}

// knows tells whether a place refused before, for more than want of a
// credential.
func (a *answers) knows(req *http.Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	same := sameAs(req)
	return slices.ContainsFunc(a.bad, func(b answer) bool { return same(b) && b.status != 0 && b.status != http.StatusUnauthorized })
}

func (a *answers) denied(host string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.deny[host]
	return ok
}

// has tells whether there is one of a host.
func (a *answers) has(host string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.bad, func(b answer) bool { return b.host == host })
}

// wanted tells whether a credential was asked for in vain.
func (a *answers) wanted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.bad, func(b answer) bool { return b.status == http.StatusUnauthorized })
}

// text tells all, each once, in the order of asking.
func (a *answers) text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, b := range a.bad {
		if !slices.Contains(all, b.what) {
			all = append(all, b.what)
		}
	}
	return strings.Join(all, "; ")
}

func sameAs(req *http.Request) func(answer) bool {
	return func(b answer) bool { return b.host == req.URL.Host && b.path == req.URL.Path }
}

// says finds codes and messages in the body of a refusal, as registries and
// token servers write them; a page of HTML says nothing. What it repeats of the
// request's authorization is taken out.
func says(body []byte, req *http.Request) string {
	var form struct {
		Errors []struct{ Code, Message string } `json:"errors"`
		// These are a token server's.
		Error       any    `json:"error"`
		Description string `json:"error_description"`
		Details     any    `json:"details"`
	}
	if json.Unmarshal(body, &form) != nil {
		return ""
	}
	var said []string
	for i, e := range form.Errors {
		if i < 3 {
			said = append(said, pair(e.Code, e.Message))
		}
	}
	code, _ := form.Error.(string)
	details, _ := form.Details.(string)
	said = append(said, pair(code, form.Description), details)
	said = slices.DeleteFunc(said, func(s string) bool { return s == "" })
	text := strings.Join(said, ", ")
	if _, shown, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok && shown != "" {
		text = strings.ReplaceAll(text, shown, "(credential)")
	}
	return printable(text)
}

func pair(code, message string) string {
	if code == "" || message == "" {
		return code + message
	}
	return code + ": " + message
}

// printable makes one short line of what a stranger wrote.
func printable(text string) string {
	const most = 300
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
