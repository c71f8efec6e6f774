// Package poddv1 is podd's control API, generated from the .proto files beside
// it. The agent serves it; podctl and every other client speak it.
package poddv1
