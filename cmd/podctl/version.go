package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// versions is what version prints.
type versions struct {
	Client clientVersion  `json:"clientVersion"`
	Server *serverVersion `json:"serverVersion,omitempty"`
}

type clientVersion struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

type serverVersion struct {
	Version    string `json:"version"`
	Commit     string `json:"commit,omitempty"`
	GoVersion  string `json:"goVersion,omitempty"`
	Containerd string `json:"containerdVersion,omitempty"`
	Runtime    string `json:"runtimeVersion,omitempty"`
	Kernel     string `json:"kernelVersion,omitempty"`
	Cgroup     string `json:"cgroupVersion,omitempty"`
	Kubernetes string `json:"kubernetesVersion,omitempty"`
}

func newVersion(s *session) *cobra.Command {
	var output string
	var clientOnly bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of podctl and podd",
		Long:  "Print the versions of podctl and podd. It fails unless podd is ready to work.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPlainOutput(output); err != nil {
				return err
			}
			v := versions{Client: builtClient()}
			var err error
			if !clientOnly {
				v.Server, err = s.serverVersion(cmd.Context())
			}
			if printErr := v.print(s, output); printErr != nil {
				return printErr
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "only podctl's; podd is not asked")
	addPlainOutputFlag(cmd, &output)
	return cmd
}

func (s *session) serverVersion(ctx context.Context) (*serverVersion, error) {
	c, err := s.connect()
	if err != nil {
		return nil, err
	}
	defer c.close()
	v, err := c.node.Version(ctx, &poddv1.VersionRequest{})
	if err != nil {
		return nil, err
	}
	return &serverVersion{
		Version: v.GetVersion(), Commit: v.GetCommit(), GoVersion: v.GetGoVersion(),
		Containerd: v.GetContainerdVersion(), Runtime: v.GetRuntimeVersion(),
		Kernel: v.GetKernelVersion(), Cgroup: v.GetCgroupVersion(), Kubernetes: v.GetKubernetesVersion(),
	}, nil
}

func builtClient() clientVersion {
	v := clientVersion{Version: "(devel)", GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if build.Main.Version != "" {
		v.Version = build.Main.Version
	}
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			v.Commit = setting.Value
		}
	}
	return v
}

func (v versions) print(s *session, output string) error {
	if output == "" {
		v.printText(s)
		return nil
	}
	return printValue(s.out, v, output)
}

func (v versions) printText(s *session) {
	fmt.Fprintf(s.out, "Client Version: %s\n", v.Client.Version)
	if v.Server == nil {
		return
	}
	for _, line := range []struct{ name, value string }{
		{"Server Version", v.Server.Version},
		{"Kubernetes Version", v.Server.Kubernetes},
		{"containerd Version", v.Server.Containerd},
		{"OCI Runtime Version", v.Server.Runtime},
		{"Kernel Version", v.Server.Kernel},
		{"Cgroup Version", v.Server.Cgroup},
	} {
		if line.value != "" {
			fmt.Fprintf(s.out, "%s: %s\n", line.name, line.value)
		}
	}
}
