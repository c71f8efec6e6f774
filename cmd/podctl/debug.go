package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
)

// debugFlags are the flags of debug.
type debugFlags struct {
	attachFlags
	duplicateFlags
	image, pullPolicy, target, profile string
	env                                map[string]string
	argumentsOnly                      bool
	attach                             bool
}

func newDebug(s *session) *cobra.Command {
	var f debugFlags
	cmd := &cobra.Command{
		Use:   "debug POD --image=IMAGE [-it] [--target=CONTAINER] [-- COMMAND [ARG...]]",
		Short: "Look into a pod with a container that is added to it, or into a copy of it",
		Long: "Add an ephemeral container to a pod that is there: it shares the pod's network and volumes, with\n" +
			"--target also the processes of that container, runs once, and ends with the pod at the latest.\n" +
			"With --copy-to look into a copy of the pod instead, with another container, command or image.",
		Example: "  podctl debug web -it --image=busybox\n  podctl debug web -it --image=busybox --target=app -- sh\n" +
			"  podctl debug web -it --image=busybox --copy-to=web-debug\n  podctl debug web --copy-to=web-debug --set-image=app=app:debug",
		ValidArgsFunction: s.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			pod, command, err := splitDebug(args, cmd.ArgsLenAtDash())
			if err != nil {
				return err
			}
			asked := cmd.Flags().Changed("attach")
			if !asked {
				f.attach = f.stdin
			}
			f.shareAsked = cmd.Flags().Changed("share-processes")
			if err := f.check(s, asked, command); err != nil {
				return err
			}
			return f.run(cmd.Context(), s, pod, command)
		},
	}
	f.addFlags(cmd)
	complete(cmd, "target", s.completeContainers)
	complete(cmd, "profile", cobra.FixedCompletions(slices.Sorted(maps.Keys(profiles())), noFiles))
	return cmd
}

func (f *debugFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.image, "image", "", "the image of the container")
	flags.StringVarP(&f.container, "container", "c", "", "the name of the container; debugger-xxxxx if none is given")
	flags.StringVar(&f.target, "target", "", "share the processes of this container")
	flags.BoolVarP(&f.stdin, "stdin", "i", false, "keep the container's standard input open")
	flags.BoolVarP(&f.tty, "tty", "t", false, "give the container a terminal")
	flags.BoolVar(&f.attach, "attach", false, "join the container's streams once it runs; so by default with -i")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "only what the container prints")
	flags.StringToStringVar(&f.env, "env", nil, "environment variables, key=value")
	flags.StringVar(&f.pullPolicy, "image-pull-policy", "", "Always, IfNotPresent or Never; podd's default for the image if empty")
	flags.BoolVar(&f.argumentsOnly, "arguments-only", false, "what follows -- are the arguments, not the command")
	flags.StringVar(&f.profile, "profile", profileGeneral, "what the container may: general, baseline, restricted, netadmin, sysadmin or legacy")
	f.addCopyFlags(flags)
}

// splitDebug parts the pod from the command, which follows --.
func splitDebug(args []string, dash int) (pod string, command []string, err error) {
	if dash >= 0 {
		args, command = args[:dash], args[dash:]
	}
	switch len(args) {
	case 0:
		return "", nil, errors.New("NAME is required for debug")
	case 1:
		return args[0], command, nil
	}
	return "", nil, fmt.Errorf("one pod at a time, not %d; a command follows --", len(args))
}

// check refuses flags that do not go together, in kubectl's words.
func (f *debugFlags) check(s *session, attachAsked bool, command []string) error {
	if f.attach && attachAsked && f.image == "" && f.container == "" {
		return errors.New("you must specify --container or create a new container using --image in order to attach")
	}
	if err := f.checkCopy(f.image, f.container, command); err != nil {
		return err
	}
	if f.image != "" && !reference.ReferenceRegexp.MatchString(f.image) {
		return fmt.Errorf("invalid image name %q: %w", f.image, reference.ErrReferenceInvalidFormat)
	}
	switch corev1.PullPolicy(f.pullPolicy) {
	case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever, "":
	default:
		return fmt.Errorf("invalid image pull policy: %s", f.pullPolicy)
	}
	if f.target != "" && f.to != "" {
		return errors.New("--target is incompatible with --copy-to. Use --share-processes instead")
	}
	if f.tty && !f.stdin {
		return errors.New("-i/--stdin is required for containers with -t/--tty=true")
	}
	if profiles()[f.profile] == nil {
		return fmt.Errorf("unknown profile: %s", f.profile)
	}
	if f.profile == profileLegacy {
		fmt.Fprintln(s.errOut, `--profile=legacy is deprecated and planned to be removed in v1.39. It is recommended to specify other profile, for example "--profile=general".`)
	}
	return nil
}

func (f *debugFlags) run(ctx context.Context, s *session, arg string, command []string) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	pod, err := s.pod(ctx, c, arg)
	if err != nil {
		return err
	}
	told := *s // what is for people who look on
	if f.quiet {
		told.out = io.Discard
	}
	way := f.debugPod
	if f.to != "" {
		way = f.debugCopy
	}
	pod, name, err := way(ctx, &told, c, pod, command)
	if err != nil || !f.attach || name == "" {
		return err
	}
	return f.follow(ctx, s, c, pod, name)
}

// name is the one asked for, or made up and said.
func (f *debugFlags) name(told *session, pod *corev1.Pod) string {
	if f.container != "" {
		return f.container
	}
	name := ""
	for taken := containerNames(pod); name == "" || slices.Contains(taken, name); {
		name = "debugger-" + told.suffix(5)
	}
	fmt.Fprintf(told.out, "Defaulting debug container name to %s.\n", name)
	return name
}

// fill makes a container what the flags ask for.
func (f *debugFlags) fill(made *corev1.Container, command []string) {
	switch {
	case len(command) == 0:
	case f.argumentsOnly:
		made.Args = command
	default:
		made.Command, made.Args = command, nil
	}
	if len(f.env) > 0 {
		made.Env = nil
	}
	for _, key := range slices.Sorted(maps.Keys(f.env)) {
		made.Env = append(made.Env, corev1.EnvVar{Name: key, Value: f.env[key]})
	}
	if f.image != "" {
		made.Image = f.image
	}
	if f.pullPolicy != "" {
		made.ImagePullPolicy = corev1.PullPolicy(f.pullPolicy)
	}
	made.Stdin, made.TTY = f.stdin, f.tty
	profiles()[f.profile](made)
}
