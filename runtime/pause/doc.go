// Package pause holds the pause program and makes the built-in image of it.
//
// runtime/sandbox imports it.
package pause
