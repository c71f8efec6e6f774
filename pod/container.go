package pod

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// run takes one container the next step towards running. up says whether the
// sandbox and the network are there; an image may be pulled before.
func (d *decision) run(spec *corev1.Container, up bool) {
	c := d.container(spec.Name)
	if c.Stage == StageExited {
		d.restart(spec, c)
	}
	switch c.Stage {
	case StageWaiting:
		d.create(spec, c, up)
	case StageCreating:
		d.proceed(spec, c, up)
	}
}

// create begins an attempt once everything that it needs is there.
func (d *decision) create(spec *corev1.Container, c *ContainerMemo, up bool) {
	if !d.image(spec, c) || !up {
		return
	}
	c.Sandbox = d.m.Durable.Sandbox.Attempt
	c.Hash = specHash(spec)
	cfg, ok := d.config(spec, c)
	if !ok {
		return
	}
	if d.m.Volatile.Fresh[spec.Name] != spec.Image {
		d.event(corev1.EventTypeNormal, "Pulled", fmt.Sprintf(
			"Container image %q already present on machine and can be accessed by the pod", spec.Image), spec.Name)
	}
	delete(d.m.Volatile.Fresh, spec.Name)
	c.Stage = StageCreating
	d.noteImage(spec, c)
	d.wantContainer(CreateContainer, cfg)
}

func (d *decision) noteImage(spec *corev1.Container, c *ContainerMemo) {
	img := d.in.Seen.Images[spec.Image]
	c.Image, c.ImageID, c.StopSignal = spec.Image, img.ID, int(stopSignalFor(spec, img))
}

// proceed creates what is allocated and starts what is created.
func (d *decision) proceed(spec *corev1.Container, c *ContainerMemo, up bool) {
	if c.Hash != specHash(spec) {
		c.Discard = true
	}
	if c.Discard {
		d.remove(ID(d.pod.UID, spec.Name, c.Attempt), spec.Name, c.Attempt, "it was made from what is wanted no more")
		return
	}
	if f := c.Failed; f != nil {
		d.waiting[spec.Name] = *f
	}
	seen := d.current(spec.Name, c)
	if !up || seen == nil && !d.image(spec, c) {
		return
	}
	cfg, ok := d.config(spec, c)
	switch {
	case !ok:
	case seen == nil:
		d.noteImage(spec, c)
		d.wantContainer(CreateContainer, cfg)
	case seen.TargetID != cfg.TargetID:
		c.Discard = true
		d.remove(seen.ID, spec.Name, c.Attempt, "its target was started anew")
	default:
		d.wantContainer(StartContainer, cfg)
	}
}

func (d *decision) wantContainer(kind Kind, cfg *ContainerConfig) {
	why := "it is created"
	if kind == CreateContainer {
		why = d.whyAttempt(cfg.Container, d.container(cfg.Container.Name))
	}
	d.want(Action{
		Kind: kind, Subject: SubjectContainer(cfg.Container.Name), Reason: why,
		Container: cfg, Attempt: cfg.Attempt,
	})
}

// whyAttempt says for people why an attempt is made, the first or another one.
func (d *decision) whyAttempt(spec *corev1.Container, c *ContainerMemo) string {
	var why string
	switch last := c.Last; {
	case last == nil:
		why = "what it needs is there"
	case last.Again:
		why = "the one before was ended to be restarted"
	case d.isInit(spec.Name) && last.Code == 0 && !isSidecar(spec):
		why = "the sandbox is a new one"
	case ruleFor(spec, int32(last.Code)) != nil:
		why = fmt.Sprintf("its restart policy has a rule for exit code %d", last.Code)
	default:
		why = fmt.Sprintf("its restart policy is %s", policyOf(d.pod, spec))
	}
	return fmt.Sprintf("attempt %d: %s", c.Attempt, why)
}

func (d *decision) remove(id, name string, attempt int, why string) {
	d.want(Action{Kind: RemoveContainer, Subject: SubjectContainer(name), Reason: why, ID: id, Attempt: attempt})
}

// config is what the runtime is handed. When something that it depends on is
// missing, it says so in the status and waits for it: no back-off.
func (d *decision) config(spec *corev1.Container, c *ContainerMemo) (*ContainerConfig, bool) {
	about := "config/" + spec.Name
	img := d.in.Seen.Images[spec.Image]
	env, err := containerEnv(d.pod, spec, d.in.Refs, d.in.Node, d.podIPs())
	if err == nil {
		err = checkNonRoot(d.pod, spec, img.User)
	}
	target := ""
	if err == nil {
		target, err = d.target(spec.Name)
	}
	if err != nil {
		d.waiting[spec.Name] = Trouble{Reason: "CreateContainerConfigError", Message: err.Error()}
		d.tell(about, Event{
			Type: corev1.EventTypeWarning, Reason: "Failed", Message: "Error: " + err.Error(), Container: spec.Name,
		})
		return nil, false
	}
	d.settled(about)
	hostname, domain := hostnameOf(d.pod, d.in.Node)
	imageID := img.ID
	if imageID == "" {
		imageID = c.ImageID
	}
	vars := lookup(env)
	return &ContainerConfig{
		Pod: d.pod, Container: spec, Attempt: c.Attempt, ID: ID(d.pod.UID, spec.Name, c.Attempt),
		SandboxID: d.sandboxID(), TargetID: target, ImageID: imageID,
		Command: expandAll(spec.Command, vars), Args: expandAll(spec.Args, vars), Env: env,
		Hostname: hostname, Domain: domain, PodIPs: d.podIPs(),
		SeccompDefault: d.in.Node.SeccompDefault, OOMScoreAdj: oomScoreAdj(d.pod, spec, d.in.Node),
	}, true
}

// checkNonRoot holds runAsNonRoot against the user the container would get.
func checkNonRoot(p *corev1.Pod, spec *corev1.Container, imageUser string) error {
	nonRoot, user := effectiveUser(p, spec)
	if !nonRoot {
		return nil
	}
	where := fmt.Sprintf("(pod: %q, container: %s)", podDesc(p), spec.Name)
	if user != nil {
		if *user == 0 {
			return fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
		}
		return nil
	}
	name, _, _ := strings.Cut(imageUser, ":")
	if name == "" {
		name = "0"
	}
	uid, err := strconv.ParseInt(name, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", name, where)
	case uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	case uid < 0 || uid > math.MaxInt32:
		return fmt.Errorf("container has runAsNonRoot and image has an invalid user id (%d). (Must be 1-(%d)) %s", uid, math.MaxInt32, where)
	}
	return nil
}

func effectiveUser(p *corev1.Pod, spec *corev1.Container) (nonRoot bool, user *int64) {
	if sc := p.Spec.SecurityContext; sc != nil {
		nonRoot, user = sc.RunAsNonRoot != nil && *sc.RunAsNonRoot, sc.RunAsUser
	}
	if sc := spec.SecurityContext; sc != nil {
		if sc.RunAsNonRoot != nil {
			nonRoot = *sc.RunAsNonRoot
		}
		if sc.RunAsUser != nil {
			user = sc.RunAsUser
		}
	}
	return nonRoot, user
}

// specHash is of what makes a container start anew when it changes: its image,
// as in a kubelet.
func specHash(spec *corev1.Container) string { return imageHash(spec.Name, spec.Image) }

func imageHash(name, image string) string {
	sum := sha256.Sum256([]byte(name + "\x00" + image))
	return hex.EncodeToString(sum[:8])
}

// watch sees to what runs: its probes, and whether it is still what is wanted.
func (d *decision) watch() {
	for _, spec := range d.lasting() {
		c := d.container(spec.Name)
		if c.Stage != StageRunning {
			continue
		}
		if c.Hash != specHash(spec) {
			d.stop(spec.Name, c, stopOrder{
				because: restarting(spec, "definition changed", true), grace: d.grace(), again: true,
			})
		}
		d.postStart(spec, c)
		if c.Stop == nil {
			d.probe(spec, c)
		}
		d.kill(spec.Name, c)
	}
}

// restarting is why a container is ended that is to run, in a kubelet's words.
func restarting(spec *corev1.Container, why string, again bool) string {
	switch {
	case isSidecar(spec):
		return fmt.Sprintf("Init container %s %s", spec.Name, why)
	case again:
		return fmt.Sprintf("Container %s %s, will be restarted", spec.Name, why)
	}
	return fmt.Sprintf("Container %s %s", spec.Name, why)
}

// sweep removes what is left of attempts that are over, once nothing better is
// to be done for the container.
func (d *decision) sweep() {
	for _, seen := range d.attempts() {
		c := d.container(seen.Name)
		mine := seen.ID == ID(d.pod.UID, seen.Name, c.Attempt)
		switch {
		case mine && (c.Stage == StageCreating || c.Stage == StageRunning):
		case seen.State == Running:
			d.signal(seen.Name, seen.Attempt, syscall.SIGKILL, "it should not run")
		case seen.State == Exited:
			d.want(Action{
				Kind: ReapContainer, Subject: SubjectContainer(seen.Name),
				Reason: "its exit is remembered", ID: seen.ID, Attempt: seen.Attempt,
			})
		default:
			d.remove(seen.ID, seen.Name, seen.Attempt, "it is over")
		}
	}
}
