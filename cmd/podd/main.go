// Command podd is the daemon: flags and configuration, construction, run.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "podd:", err)
		os.Exit(1)
	}
}
