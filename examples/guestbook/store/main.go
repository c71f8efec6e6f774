// Command store keeps the guestbook's entries, one a line, in a file that
// survives restarts of its container. It answers only to who knows the token:
//
//	GET  /entries   all of them
//	POST /entries   adds the body
//	GET  /healthz
//
// With -check it asks its own /healthz and exits: a liveness probe.
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

// maxEntry bounds one entry, in bytes.
const maxEntry = 1024

const address = "127.0.0.1:6000"

func check() {
	resp, err := http.Get("http://" + address + "/healthz")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		log.Fatal(resp.Status)
	}
}

type store struct {
	mu    sync.Mutex // one writer at a time
	path  string
	token string
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "-check" {
		check()
		return
	}
	s := &store{path: os.Getenv("ENTRIES"), token: os.Getenv("TOKEN")}
	if s.path == "" || s.token == "" {
		log.Fatal("ENTRIES and TOKEN have to be set")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /entries", s.guarded(s.list))
	mux.HandleFunc("POST /entries", s.guarded(s.add))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	log.Println("the store keeps its entries in", s.path)
	serve(address, mux)
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

func (s *store) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		given := []byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if subtle.ConstantTimeCompare(given, []byte(s.token)) != 1 {
			http.Error(w, "wrong token", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (s *store) list(w http.ResponseWriter, _ *http.Request) {
	text, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(text)
}

func (s *store) add(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEntry))
	if err != nil {
		http.Error(w, "an entry is at most 1024 bytes", http.StatusRequestEntityTooLarge)
		return
	}
	line := strings.Join(strings.Fields(string(text)), " ")
	if line == "" {
		http.Error(w, "an entry has to say something", http.StatusBadRequest)
		return
	}
	if err := s.append(line); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	log.Println("added:", line)
	w.WriteHeader(http.StatusCreated)
}

func (s *store) append(line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
