// Command podctl talks to podd as kubectl talks to a cluster.
package main

func main() {}
