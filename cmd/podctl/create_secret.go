package main

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func newCreateSecret(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "secret", Short: "Create a Secret: generic, tls or docker-registry",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCreateGeneric(s), newCreateTLS(s), newCreateRegistry(s))
	return cmd
}

func newCreateGeneric(s *session) *cobra.Command {
	var f creation
	var sources entrySources
	var kind string
	cmd := &cobra.Command{
		Use:     "generic NAME [--type=TYPE] [--from-literal=KEY=VALUE] [--from-file=[KEY=]FILE] [--from-env-file=FILE]",
		Short:   "Create a Secret from values, files or directories",
		Example: "  podctl create secret generic token --from-literal=token=s3cret",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := sources.read(s.getenv)
			if err != nil {
				return err
			}
			return f.createTyped(cmd.Context(), s, secret(args[0], kind, all))
		},
	}
	sources.addFlags(cmd)
	cmd.Flags().StringVar(&kind, "type", "", "the type of the Secret")
	f.addFlags(cmd)
	return cmd
}

func newCreateTLS(s *session) *cobra.Command {
	var f creation
	var cert, key string
	cmd := &cobra.Command{
		Use:     "tls NAME --cert=FILE --key=FILE",
		Short:   "Create a Secret from a certificate and its key, both PEM",
		Example: "  podctl create secret tls web --cert=web.crt --key=web.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := readPair(cert, key)
			if err != nil {
				return err
			}
			return f.createTyped(cmd.Context(), s, secret(args[0], string(corev1.SecretTypeTLS), all))
		},
	}
	cmd.Flags().StringVar(&cert, "cert", "", "the certificate, PEM")
	cmd.Flags().StringVar(&key, "key", "", "its private key, PEM")
	f.addFlags(cmd)
	return cmd
}

// readPair reads a certificate and a key that belong together.
func readPair(certPath, keyPath string) (entries, error) {
	if certPath == "" || keyPath == "" {
		return nil, errors.New("key and cert must be specified")
	}
	cert, err := os.ReadFile(certPath)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	key, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return nil, err
	}
	return entries{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key}, nil
}

// login is an account at a registry.
type login struct {
	server, username, password, email string
}

func newCreateRegistry(s *session) *cobra.Command {
	var f creation
	var l login
	cmd := &cobra.Command{
		Use:     "docker-registry NAME --docker-username=USER --docker-password=PASSWORD [--docker-server=SERVER]",
		Short:   "Create a Secret to pull images from a registry with",
		Example: "  podctl create secret docker-registry pull --docker-server=registry.local --docker-username=me --docker-password=s3cret",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := l.entries()
			if err != nil {
				return err
			}
			return f.createTyped(cmd.Context(), s, secret(args[0], string(corev1.SecretTypeDockerConfigJson), all))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&l.server, "docker-server", "https://index.docker.io/v1/", "the registry")
	flags.StringVar(&l.username, "docker-username", "", "the account")
	flags.StringVar(&l.password, "docker-password", "", "its password")
	flags.StringVar(&l.email, "docker-email", "", "its mail address")
	f.addFlags(cmd)
	return cmd
}

// entries is the login in docker's config.json.
func (l login) entries() (entries, error) {
	if l.server == "" || l.username == "" || l.password == "" {
		return nil, errors.New("docker-server, docker-username and docker-password must be specified")
	}
	account := map[string]string{
		"username": l.username, "password": l.password,
		"auth": base64.StdEncoding.EncodeToString([]byte(l.username + ":" + l.password)),
	}
	if l.email != "" {
		account["email"] = l.email
	}
	text, err := json.Marshal(map[string]any{"auths": map[string]any{l.server: account}})
	if err != nil {
		return nil, fmt.Errorf("encode the login: %w", err)
	}
	return entries{corev1.DockerConfigJsonKey: text}, nil
}

func secret(name, kind string, all entries) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Type:       corev1.SecretType(kind), Data: all,
	}
}
