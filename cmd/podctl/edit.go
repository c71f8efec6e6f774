package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/podd-io/podd/api/manifest"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

func newEdit(s *session) *cobra.Command {
	var sel selection
	cmd := &cobra.Command{
		Use:   "edit KIND NAME | KIND/NAME",
		Short: "Change an object in an editor",
		Long: "Change an object in an editor: $KUBE_EDITOR, else $EDITOR, else vi. What is refused is opened again with\n" +
			"the reason; a file that is saved empty, or as it was, ends the editing. An object that others changed\n" +
			"meanwhile is refused. A text that is refused and given up is kept in a file.",
		Example:           "  podctl edit configmap site\n  KUBE_EDITOR=nano podctl edit pod/web",
		ValidArgsFunction: s.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := sel.parse(args); err != nil {
				return err
			}
			if len(sel.targets) != 1 || !sel.named() || sel.targets[0].kind.isImage() {
				return errors.New("one object at a time: KIND NAME, or KIND/NAME")
			}
			return runEdit(cmd.Context(), s, sel.targets[0])
		},
	}
	return cmd
}

func runEdit(ctx context.Context, s *session, t target) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	space := s.space()
	if t.kind.cluster {
		space = ""
	}
	before, err := c.get(ctx, ref{kind: t.kind, namespace: space, name: t.name})
	if err != nil {
		return err
	}
	original, err := editable(before)
	if err != nil {
		return err
	}
	text, complaint := original, ""
	for {
		edited, err := inEditor(ctx, s, text, complaint)
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(edited)) == 0 || bytes.Equal(edited, original) || complaint != "" && bytes.Equal(edited, text) {
			fmt.Fprintln(s.errOut, "Edit cancelled, no changes made.")
			if complaint == "" {
				return nil
			}
			return errors.Join(keepText(s, text), errors.New("the last version was refused: "+complaint))
		}
		refusal := applyEdited(ctx, s, c, before, edited)
		if refusal == nil {
			return nil
		}
		if errors.Is(refusal, errChanged) { // what was edited is out of date: it can't be mended in the editor
			return errors.Join(keepText(s, edited), refusal)
		}
		complaint, _ = s.describeFailure(refusal)
		text = edited
	}
}

// editable is an object as people edit it: its status, and the revision that
// this moves on, are podd's.
func editable(o *unstructured.Unstructured) ([]byte, error) {
	o = o.DeepCopy()
	unstructured.RemoveNestedField(o.Object, "status")
	unstructured.RemoveNestedField(o.Object, "metadata", "resourceVersion")
	return yaml.Marshal(o.Object)
}

const editHead = `# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
`

// inEditor has text edited and gives it back without comments.
func inEditor(ctx context.Context, s *session, text []byte, complaint string) ([]byte, error) {
	f, err := os.CreateTemp("", "podctl-edit-*.yaml")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	head := editHead
	for line := range strings.Lines(complaint) {
		head += "# " + strings.TrimRight(line, "\n") + "\n"
	}
	if complaint != "" {
		head += "#\n"
	}
	_, err = f.Write(append([]byte(head), text...))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	editor := cmp.Or(s.getenv("KUBE_EDITOR"), s.getenv("EDITOR"), "vi")
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", f.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("there was a problem with the editor %q: %w", editor, err)
	}
	edited, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, err
	}
	var kept []byte
	for line := range bytes.Lines(edited) {
		if !bytes.HasPrefix(line, []byte("#")) {
			kept = append(kept, line...)
		}
	}
	return kept, nil
}

// keepText writes a text that was not stored into a file of its own, and says
// where it is.
func keepText(s *session, text []byte) error {
	f, err := os.CreateTemp(s.getenv("TMPDIR"), "podctl-edit-*.yaml") // of mode 0600: it may be a Secret
	if err != nil {
		return fmt.Errorf("keep the edited text: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep the edited text: %w", err)
	}
	fmt.Fprintf(s.errOut, "A copy of your changes has been stored to %q\n", f.Name())
	return nil
}

var errChanged = errors.New("it was changed by somebody else meanwhile: edit it again")

// replace applies after in the place of before. That podd has written another
// status meanwhile, which pods get often, is no change.
func (c *client) replace(ctx context.Context, before, after *unstructured.Unstructured) ([]*poddv1.ApplyResult, error) {
	was, err := editable(before)
	if err != nil {
		return nil, err
	}
	for {
		r := refOf(before)
		now, err := c.get(ctx, ref{kind: r.kind, namespace: r.namespace, name: r.name})
		if err != nil {
			return nil, err
		}
		if is, err := editable(now); err != nil || !bytes.Equal(is, was) {
			return nil, errors.Join(err, errChanged)
		}
		after.SetResourceVersion("")
		results, err := c.apply(ctx, &poddv1.ApplyRequest{Preconditions: []*poddv1.Preconditions{{
			Uid: string(now.GetUID()), ResourceVersion: now.GetResourceVersion(),
		}}}, []*unstructured.Unstructured{after})
		if st, answered := grpcStatus(err); !answered || st.Code() != codes.Aborted {
			return results, err
		}
	}
}

// applyEdited applies one object in the place of the one that was read.
func applyEdited(ctx context.Context, s *session, c *client, before *unstructured.Unstructured, text []byte) error {
	docs, err := manifest.Read(bytes.NewReader(text), "the edited file")
	if err != nil {
		return err
	}
	if len(docs) != 1 {
		return fmt.Errorf("the edited file holds %d objects: it was one", len(docs))
	}
	after, err := decode(docs[0].Object)
	if err != nil {
		return err
	}
	if after.GetKind() != before.GetKind() || after.GetName() != before.GetName() || after.GetNamespace() != before.GetNamespace() {
		return errors.New("kind, name and namespace can't be edited: they say which object it is")
	}
	results, err := c.replace(ctx, before, after)
	if err != nil {
		return err
	}
	for _, warning := range results[0].GetWarnings() {
		warn(s.errOut, warning)
	}
	if results[0].GetChange() == poddv1.ApplyResult_CHANGE_UNCHANGED {
		return said(s.out, after, "unchanged")
	}
	return said(s.out, after, "edited")
}
