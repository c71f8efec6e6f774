// Command podd is the daemon: flags and configuration, construction, run.
package main

func main() {}
