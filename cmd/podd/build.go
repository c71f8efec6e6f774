package main

import (
	"cmp"
	"runtime/debug"

	"github.com/podd-io/podd/metrics"
)

// readBuild tells what the Go linker knows of this program.
func readBuild() metrics.Build {
	build := metrics.Build{Version: "unknown", Commit: "unknown", KubernetesVersion: "unknown"}
	built, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	build.GoVersion = built.GoVersion
	build.Version = cmp.Or(built.Main.Version, build.Version)
	for _, s := range built.Settings {
		if s.Key == "vcs.revision" {
			build.Commit = s.Value
		}
	}
	for _, dep := range built.Deps {
		if dep.Path == "k8s.io/kubernetes" {
			build.KubernetesVersion = dep.Version
		}
	}
	return build
}
