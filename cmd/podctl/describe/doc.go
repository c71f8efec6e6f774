// Package describe writes objects out for people, as kubectl describe does.
// podctl imports it.
package describe
