// Package pause holds the pause program and makes the built-in image of it, so
// that no sandbox ever waits for a registry. program/ has its source, build.sh
// that builds it, and what that built, which is embedded.
//
// runtime/sandbox imports it.
package pause
