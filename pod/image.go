package pod

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// image says whether the image for the next attempt is here, and wants it
// pulled if it is not.
func (d *decision) image(spec *corev1.Container, c *ContainerMemo) bool {
	img, here := d.in.Seen.Images[spec.Image]
	here = here && (img.Imported || !d.fetching(spec))
	pulled := d.m.Volatile.Fresh[spec.Name] == spec.Image
	always := spec.ImagePullPolicy == corev1.PullAlways
	switch {
	case here && (!always || pulled || c.Stage == StageCreating):
		for _, about := range [...]string{"image/" + spec.Name, "pull/" + spec.Name} {
			d.settled(about)
			d.settled(about + "/error")
		}
		d.settled("pullSecrets")
		return true
	case spec.ImagePullPolicy == corev1.PullNever:
		d.neverPull(spec)
	default:
		d.pull(spec)
	}
	return false
}

// fetching says whether the pull for a container is under way. The image may be
// seen a moment before the pull has told of its end, which is what counts.
func (d *decision) fetching(spec *corev1.Container) bool {
	return d.inFlight(SubjectImage(spec.Image)) && slices.Contains(d.m.Volatile.Pulling[spec.Image], spec.Name)
}

// neverPull says that an image is missing that may not be pulled. Whoever
// brings it wakes us; looking again from time to time is the kubelet's way.
func (d *decision) neverPull(spec *corev1.Container) {
	text := fmt.Sprintf("Container image %q is not present with pull policy of Never", spec.Image)
	d.waiting[spec.Name] = Trouble{Reason: "ErrImageNeverPull", Message: text}
	d.tell("image/"+spec.Name, Event{
		Type: corev1.EventTypeWarning, Reason: "ErrImageNeverPull", Message: text, Container: spec.Name,
	})
	d.tell("image/"+spec.Name+"/error", Event{
		Type: corev1.EventTypeWarning, Reason: "Failed", Message: "Error: ErrImageNeverPull", Container: spec.Name,
	})
	d.wake(d.now.Add(d.in.Node.BackOff.Initial))
}

// pull wants an image, unless its last pull failed too lately.
func (d *decision) pull(spec *corev1.Container) {
	ref := spec.Image
	if r, failed := d.m.Durable.Pulls[ref]; failed {
		d.pullFailed(spec, r)
		if due := r.due(d.in.Node.BackOff); due.After(d.now) {
			d.wake(due)
			return
		}
	}
	d.want(Action{
		Kind: PullImage, Subject: SubjectImage(ref), Reason: "container " + spec.Name + " needs it",
		Pull: &PullConfig{Ref: ref, Policy: spec.ImagePullPolicy, Secrets: d.pullSecrets(), Priority: d.priority()},
	})
	waiters := d.m.Volatile.Pulling[ref]
	if !slices.Contains(waiters, spec.Name) {
		d.m.Volatile.Pulling[ref] = append(waiters, spec.Name)
		d.event(corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", ref), spec.Name)
	}
	d.pullProgress(spec)
}

func (d *decision) priority() int32 {
	if p := d.pod.Spec.Priority; p != nil {
		return *p
	}
	return d.in.Refs.Priority
}

// longPull is how long a pull takes of which people want to know how far it is.
const longPull = 10 * time.Second

// pullProgress tells of each quarter of a long pull that has come.
func (d *decision) pullProgress(spec *corev1.Container) {
	ref := spec.Image
	m, known := d.m.Volatile.Pulls[ref]
	if !known {
		m.Since = d.now
	}
	if d.inFlight(SubjectImage(ref)) {
		d.wake(d.now.Add(longPull))
	}
	p := d.in.Seen.Pulls[ref]
	if p.Total > 0 && d.now.Sub(m.Since) >= longPull {
		if quarters := 4 * p.Done / p.Total; quarters > m.Quarters && quarters < 4 {
			m.Quarters = quarters
			d.event(corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q: %d%% of %d bytes", ref, 25*quarters, p.Total), spec.Name)
		}
	}
	d.m.Volatile.Pulls[ref] = m
}

// pullFailed shows a failed pull: first the failure, then the waiting.
func (d *decision) pullFailed(spec *corev1.Container, r Retry) {
	flip := r.At.Add(settle)
	if flip.After(d.now) || r.Reason == "InvalidImageName" {
		d.waiting[spec.Name] = Trouble{Reason: r.Reason, Message: r.Message}
		if flip.After(d.now) {
			d.wake(flip)
		}
		d.missingSecrets(spec, r)
		return
	}
	text := fmt.Sprintf("Back-off pulling image %q", spec.Image)
	d.waiting[spec.Name] = Trouble{Reason: "ImagePullBackOff", Message: text + ": " + r.Reason + ": " + r.Message}
	about := "pull/" + spec.Name
	d.tell(about, Event{Type: corev1.EventTypeNormal, Reason: "BackOff", Message: text, Container: spec.Name})
	d.tell(about+"/error", Event{
		Type: corev1.EventTypeWarning, Reason: "Failed", Message: "Error: ImagePullBackOff", Container: spec.Name,
	})
}

// missingSecrets says which pull secrets a failed pull had to do without.
func (d *decision) missingSecrets(spec *corev1.Container, r Retry) {
	var missing []string
	for _, ref := range d.pod.Spec.ImagePullSecrets {
		if d.in.Refs.Secrets[ref.Name] == nil {
			missing = append(missing, ref.Name)
		}
	}
	if len(missing) > 0 && r.Reason == "ErrImagePull" {
		d.tell("pullSecrets", Event{
			Type: corev1.EventTypeWarning, Reason: "FailedToRetrieveImagePullSecret", Container: spec.Name,
			Message: fmt.Sprintf("Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.",
				strings.Join(missing, ", ")),
		})
	}
}

// pullSecrets are the registry credentials that are here, in order, all in the
// form of dockerconfigjson. A missing secret is no reason to wait.
func (d *decision) pullSecrets() [][]byte {
	var all [][]byte
	for _, ref := range d.pod.Spec.ImagePullSecrets {
		secret := d.in.Refs.Secrets[ref.Name]
		if secret == nil {
			continue
		}
		if cfg, ok := secret.Data[corev1.DockerConfigJsonKey]; ok {
			all = append(all, cfg)
		} else if cfg, ok := secret.Data[corev1.DockerConfigKey]; ok {
			if wrapped, err := json.Marshal(map[string]json.RawMessage{"auths": cfg}); err == nil {
				all = append(all, wrapped)
			}
		}
	}
	return all
}
