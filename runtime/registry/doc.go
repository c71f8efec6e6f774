// Package registry is how podd reaches registries: where the images of a name
// are (hosts.toml), by which credentials (pull secrets, the node's file,
// credential provider plugins), what is taken from them, and what they answered
// when they refused.
//
// Package runtime imports it to pull; cmd/podd to read the plugins'
// configuration.
package registry
