package main

import (
	"unicode/utf8"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func newCreateConfigMap(s *session) *cobra.Command {
	var f creation
	var sources entrySources
	cmd := &cobra.Command{
		Use:     "configmap NAME [--from-literal=KEY=VALUE] [--from-file=[KEY=]FILE] [--from-env-file=FILE]",
		Aliases: []string{"cm"},
		Short:   "Create a ConfigMap from values, files or directories",
		Example: "  podctl create configmap settings --from-literal=color=blue --from-file=app.conf",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := sources.read(s.getenv)
			if err != nil {
				return err
			}
			return f.createTyped(cmd.Context(), s, configMap(args[0], all))
		},
	}
	sources.addFlags(cmd)
	f.addFlags(cmd)
	return cmd
}

// configMap keeps what is not UTF-8 as binary data.
func configMap(name string, all entries) *corev1.ConfigMap {
	made := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}
	for key, value := range all {
		if utf8.Valid(value) {
			if made.Data == nil {
				made.Data = map[string]string{}
			}
			made.Data[key] = string(value)
			continue
		}
		if made.BinaryData == nil {
			made.BinaryData = map[string][]byte{}
		}
		made.BinaryData[key] = value
	}
	return made
}
