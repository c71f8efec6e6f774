// Serve answers health checks of one kind ("http", "tcp" or "grpc") on a port,
// and turns sick when a file appears, which it removes when it starts.
package main

import (
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	kind, port, file := os.Args[1], os.Args[2], os.Args[3]
	_ = os.Remove(file) // it may not be there
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	turnsSick := map[string]func(net.Listener) func(){"http": web, "tcp": bare, "grpc": rpc}[kind](l)
	for {
		if _, err := os.Stat(file); err == nil {
			log.Print("sick")
			turnsSick()
			select {}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func web(l net.Listener) func() {
	status := make(chan int, 1)
	status <- http.StatusOK
	go func() {
		log.Fatal(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			now := <-status
			status <- now
			w.WriteHeader(now)
		})))
	}()
	return func() {
		<-status
		status <- http.StatusServiceUnavailable
	}
}

func bare(l net.Listener) func() {
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return func() { _ = l.Close() }
}

func rpc(l net.Listener) func() {
	s, h := grpc.NewServer(), health.NewServer()
	h.SetServingStatus("app", healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(s, h)
	go func() { log.Fatal(s.Serve(l)) }()
	return func() { h.SetServingStatus("app", healthv1.HealthCheckResponse_NOT_SERVING) }
}
