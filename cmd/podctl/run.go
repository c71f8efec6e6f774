package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// runFlags are the flags of run: a pod of one container.
type runFlags struct {
	creation
	image, restart, labels, pullPolicy string
	env                                []string
	port                               int32
	command                            bool
}

func newRun(s *session) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:     "run NAME --image=IMAGE [--env=KEY=VALUE] [--port=PORT] [--command] [-- ARG...]",
		Short:   "Create a pod of one container",
		Example: "  podctl run web --image=nginx --port=80\n  podctl run once --image=busybox --restart=Never -- echo hello\n  podctl run web --image=nginx --dry-run=client -o yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case len(args) == 0 || dash == 0:
				return errors.New("NAME is required for run")
			case dash > 1:
				return fmt.Errorf("one NAME is expected before --, not %d", dash)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			pod, err := f.pod(args[0], args[1:])
			if err != nil {
				return err
			}
			return f.createTyped(cmd.Context(), s, pod)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.image, "image", "", "the image of the container")
	flags.StringVar(&f.restart, "restart", string(corev1.RestartPolicyAlways), "the restart policy: Always, OnFailure or Never")
	flags.StringVarP(&f.labels, "labels", "l", "", "labels of the pod, key=value,...; run=NAME if none are given")
	flags.StringVar(&f.pullPolicy, "image-pull-policy", "", "Always, IfNotPresent or Never; podd's default for the image if empty")
	flags.StringArrayVar(&f.env, "env", nil, "an environment variable, key=value")
	flags.Int32Var(&f.port, "port", 0, "a port that the container listens on")
	flags.BoolVar(&f.command, "command", false, "what follows -- is the command, not its arguments")
	f.addFlags(cmd)
	complete(cmd, "restart", cobra.FixedCompletions([]string{"Always", "OnFailure", "Never"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// pod is what kubectl run makes of the same flags.
func (f *runFlags) pod(name string, args []string) (*corev1.Pod, error) {
	if f.image == "" {
		return nil, errors.New("required flag(s) \"image\" not set")
	}
	policy := corev1.RestartPolicy(f.restart)
	switch policy {
	case corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever:
	default:
		return nil, fmt.Errorf("invalid restart policy: %s", f.restart)
	}
	marks := map[string]string{"run": name}
	if f.labels != "" {
		var err error
		if marks, err = labels.ConvertSelectorToLabelsMap(f.labels); err != nil {
			return nil, err
		}
	}
	container, err := f.container(name, args)
	if err != nil {
		return nil, err
	}
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: marks},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{container}, DNSPolicy: corev1.DNSClusterFirst, RestartPolicy: policy,
		},
	}, nil
}

func (f *runFlags) container(name string, args []string) (corev1.Container, error) {
	made := corev1.Container{Name: name, Image: f.image, ImagePullPolicy: corev1.PullPolicy(f.pullPolicy)}
	switch {
	case f.command && len(args) > 0:
		made.Command = args
	case len(args) > 0:
		made.Args = args
	}
	for _, variable := range f.env {
		key, value, found := strings.Cut(variable, "=")
		if !found || len(validation.IsEnvVarName(key)) > 0 {
			return made, fmt.Errorf("invalid env: %v", variable)
		}
		made.Env = append(made.Env, corev1.EnvVar{Name: key, Value: value})
	}
	if f.port > 0 {
		made.Ports = []corev1.ContainerPort{{ContainerPort: f.port}}
	}
	return made, nil
}
