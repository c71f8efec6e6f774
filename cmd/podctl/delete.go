package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// deleteFlags are the flags of delete.
type deleteFlags struct {
	selection
	manifests
	all            bool
	grace          int64
	force          bool
	now            bool
	wait           bool
	ignoreNotFound bool
	timeout        time.Duration
	output         string
}

func newDelete(s *session) *cobra.Command {
	var f deleteFlags
	cmd := &cobra.Command{
		Use:   "delete -f FILE | KIND NAME... | KIND/NAME... | KIND (-l SELECTOR | --all)",
		Short: "Delete objects",
		Long: "Delete objects, and wait until they are gone with all they had: tasks, mounts, network and cgroups.\n" +
			"With --wait=false only the wish is on disk when podctl returns.",
		Example:           "  podctl delete pod web\n  podctl delete -f guestbook.yaml\n  podctl delete pods -l app=web --now\n  podctl delete pod web --force --grace-period=0",
		ValidArgsFunction: s.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			return f.run(cmd.Context(), s)
		},
	}
	f.selection.addFlags(cmd)
	f.manifests.addFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "all objects of the kind, in the namespace")
	flags.Int64Var(&f.grace, "grace-period", -1, "seconds a pod has to end; less than 0 is its own, 0 needs --force, else it counts as 1")
	flags.BoolVar(&f.force, "force", false, "kill at once; everything is still cleaned up before the object is gone")
	flags.BoolVar(&f.now, "now", false, "the same as --grace-period=1")
	flags.BoolVar(&f.wait, "wait", true, "wait until they are gone")
	flags.BoolVar(&f.ignoreNotFound, "ignore-not-found", false, "an object that is not there is no error; the default with --all")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long to wait for all of them; 0 is for ever")
	flags.StringVarP(&f.output, "output", "o", "", "how to print: name")
	return cmd
}

// check reads the arguments and brings the flags into the form that run needs.
func (f *deleteFlags) check(args []string) error {
	switch {
	case f.output != "" && f.output != "name":
		return fmt.Errorf("unexpected -o output mode: %s. We only support '-o name'", f.output)
	case f.now && f.grace >= 0:
		return errors.New("--now and --grace-period cannot be specified together")
	case f.force && f.grace > 0:
		return errors.New("--force and --grace-period greater than 0 cannot be specified together")
	case len(f.files) > 0 && (len(args) > 0 || f.all || f.labels != ""):
		return errors.New("with -f, name nothing else to delete")
	}
	switch {
	case f.force:
		f.grace = 0
	case f.now, f.grace == 0:
		f.grace = 1
	}
	if len(f.files) > 0 {
		return nil
	}
	if err := f.parse(args); err != nil {
		return err
	}
	if !f.named() && f.labels == "" && f.fields == "" && !f.all {
		return errors.New("resource(s) were provided, but no name was specified")
	}
	f.ignoreNotFound = f.ignoreNotFound || f.all
	return nil
}

func (f *deleteFlags) run(ctx context.Context, s *session) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	refs, err := f.doomed(ctx, s, c)
	if err != nil {
		return err
	}
	if len(refs) == 0 {
		fmt.Fprintln(s.out, "No resources found")
		return nil
	}
	deleted, wrong := f.deleteAll(ctx, s, c, inStopOrder(ctx, c, refs))
	if f.wait {
		p := s.waitAtMost(f.timeout)
		if f.timeout == 0 {
			p = s.waitAtMost(-1)
		}
		shown := s.waitFor(deleted...)
		defer shown.end()
		for _, r := range deleted {
			err := c.await(ctx, r, p, gone(r))
			shown.over(r)
			if err != nil {
				wrong = append(wrong, timedOut(err, r))
			}
		}
	}
	return errors.Join(wrong...)
}

// doomed is what to delete, by manifest or by selection.
func (f *deleteFlags) doomed(ctx context.Context, s *session, c *client) ([]ref, error) {
	if len(f.files) == 0 {
		return f.refs(ctx, s, c)
	}
	objects, err := f.load(s)
	if err != nil {
		return nil, err
	}
	var refs []ref
	for _, object := range objects {
		r := refOf(object)
		if r.namespace == "" && !r.kind.cluster {
			r.namespace = s.space()
		}
		r.uid = ""
		refs = append(refs, r)
	}
	return refs, nil
}

// deleteAll asks for the end of each and says so; what could not be asked is
// in wrong.
func (f *deleteFlags) deleteAll(ctx context.Context, s *session, c *client, refs []ref) (deleted []ref, wrong []error) {
	for _, r := range refs {
		object, err := f.deleteOne(ctx, c, r)
		switch {
		case err != nil && f.ignoreNotFound && isNotFound(err):
			continue
		case err != nil:
			wrong = append(wrong, err)
			continue
		}
		f.say(s, r)
		if object != nil {
			r.uid = object.GetUID()
			deleted = append(deleted, r)
		}
	}
	return deleted, wrong
}

// deleteOne returns the object as it was; nil for an image, which is gone.
func (f *deleteFlags) deleteOne(ctx context.Context, c *client, r ref) (*unstructured.Unstructured, error) {
	if r.kind.isImage() {
		_, err := c.images.Remove(ctx, &poddv1.RemoveRequest{Name: r.name})
		return nil, err
	}
	req := &poddv1.DeleteRequest{Ref: r.proto(), Force: f.force}
	if r.uid != "" {
		req.Preconditions = &poddv1.Preconditions{Uid: string(r.uid)}
	}
	if f.grace >= 0 {
		req.GracePeriodSeconds = &f.grace
	}
	resp, err := c.objects.Delete(ctx, req)
	if err != nil {
		return nil, err
	}
	return decode(resp.GetObject())
}

func (f *deleteFlags) say(s *session, r ref) {
	word := r.kind.word()
	if f.output == "name" {
		fmt.Fprintf(s.out, "%s/%s\n", word, r.name)
		return
	}
	done := "deleted"
	if f.force {
		done = "force deleted"
	}
	fmt.Fprintf(s.out, "%s %q %s", word, r.name, done)
	if r.namespace != "" {
		fmt.Fprintf(s.out, " from %s namespace", r.namespace)
	}
	fmt.Fprintln(s.out)
}
