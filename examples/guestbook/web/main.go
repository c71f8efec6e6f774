// Command web is the guestbook's page. It shows what the store beside it
// keeps, under the title that a ConfigMap gives.
//
//	GET  /         the page
//	POST /         signs the book: the form value "entry"
//	GET  /healthz  it runs
//	GET  /readyz   it runs, and the store answers
package main

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const store = "http://127.0.0.1:6000"

var page = template.Must(template.New("page").Parse(`<!doctype html>
<title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p>{{.Welcome}}</p>
<ul>{{range .Entries}}
<li>{{.}}</li>{{end}}
</ul>
<form method="post"><input name="entry" autofocus><button>Sign</button></form>
`))

type web struct {
	title, welcome, token string
	client                *http.Client
}

func main() {
	welcome, err := os.ReadFile("/data/welcome.txt") // the init container wrote it
	if err != nil {
		log.Fatal(err)
	}
	w := &web{
		title: os.Getenv("TITLE"), welcome: strings.TrimSpace(string(welcome)), token: os.Getenv("TOKEN"),
		client: &http.Client{Timeout: 2 * time.Second},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.show)
	mux.HandleFunc("POST /{$}", w.sign)
	mux.HandleFunc("GET /healthz", func(out http.ResponseWriter, _ *http.Request) { io.WriteString(out, "ok\n") })
	mux.HandleFunc("GET /readyz", w.ready)
	log.Printf("the guestbook %q is open on :8080", w.title)
	serve(":8080", mux)
}

// serve ends when it is asked to: as the first process of a container it would
// not be ended by TERM otherwise.
func serve(at string, handler http.Handler) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	srv := &http.Server{Addr: at, Handler: handler}
	go func() {
		<-ctx.Done()
		srv.Shutdown(context.Background())
	}()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	log.Println("asked to end; the guestbook is closed")
}

func (w *web) ask(method, path, body string) (string, error) {
	req, err := http.NewRequest(method, store+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	resp, err := w.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("the store says %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return string(text), err
}

func (w *web) show(out http.ResponseWriter, _ *http.Request) {
	text, err := w.ask(http.MethodGet, "/entries", "")
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	page.Execute(out, map[string]any{
		"Title": w.title, "Welcome": w.welcome,
		"Entries": strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }),
	})
}

func (w *web) sign(out http.ResponseWriter, r *http.Request) {
	if _, err := w.ask(http.MethodPost, "/entries", r.FormValue("entry")); err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	http.Redirect(out, r, "/", http.StatusSeeOther)
}

func (w *web) ready(out http.ResponseWriter, _ *http.Request) {
	if _, err := w.ask(http.MethodGet, "/healthz", ""); err != nil {
		http.Error(out, err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(out, "ok\n")
}
