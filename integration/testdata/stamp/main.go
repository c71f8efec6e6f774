// Stamp appends the time at which it began to a file, and stays.
package main

import (
	"fmt"
	"log"
	"os"
	"time"
)

func main() {
	began := time.Now()
	f, err := os.OpenFile(os.Args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := fmt.Fprintln(f, began.UnixNano()); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	time.Sleep(time.Hour)
}
