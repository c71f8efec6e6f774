package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// diagnoses are what profile can be asked for.
var diagnoses = map[string]poddv1.DiagnoseRequest_What{
	"state": poddv1.DiagnoseRequest_WHAT_STATE, "log": poddv1.DiagnoseRequest_WHAT_LOG,
	"goroutines": poddv1.DiagnoseRequest_WHAT_GOROUTINES, "heap": poddv1.DiagnoseRequest_WHAT_HEAP,
	"allocations": poddv1.DiagnoseRequest_WHAT_ALLOCATIONS, "cpu": poddv1.DiagnoseRequest_WHAT_CPU,
}

func newProfile(s *session) *cobra.Command {
	var file string
	var seconds int32
	names := slices.Sorted(maps.Keys(diagnoses))
	cmd := &cobra.Command{
		Use:   "profile " + strings.Join(names, "|"),
		Short: "Show what podd itself is doing",
		Long: "Show what podd itself is doing: as text its state and the end of its log, for `go tool pprof` the rest. " +
			"Only root may ask.",
		Example:           "  podctl profile state\n  podctl profile cpu --seconds=30 -o cpu.pb.gz && go tool pprof cpu.pb.gz",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(names, noFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			what, ok := diagnoses[args[0]]
			if !ok {
				return fmt.Errorf("there is no profile %q: %s", args[0], strings.Join(names, ", "))
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.close()
			data, err := c.diagnose(cmd.Context(), &poddv1.DiagnoseRequest{What: what, Seconds: seconds})
			if err != nil {
				return err
			}
			if file != "" {
				return os.WriteFile(file, data, 0o600)
			}
			_, err = s.out.Write(data)
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to this file instead of standard output")
	cmd.Flags().Int32Var(&seconds, "seconds", 10, "for how long the cpu is watched, 120 at most")
	return cmd
}
