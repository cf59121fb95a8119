package policy

import (
	"slices"
	"time"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// maxSkew is the maximum time between two replicas reading a new file. The kubelet updates a mounted
// ConfigMap when it next syncs the pod, which takes up to 90 seconds
// (https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically).
const maxSkew = 2 * time.Minute

// overlap decides which rules apply while replicas have different versions of the file. One replica can
// mirror a pod's images, and another one can then check the pod. If both versions allow the pod, the
// user must not see that they differ:
//
//   - What is denied changes at once, with one exception: if the mirrors change too, the registries that
//     the old version allows are allowed for twice maxSkew.
//   - Images are sent to the new mirrors after maxSkew, when every replica has read the file. Without
//     this delay, a replica with the old version could deny a name on a new mirror. If the old version
//     names no images or registries, nothing depends on the names, and there is no delay.
//   - Names on the old mirrors count as names of the same image for twice maxSkew: the last replica that
//     reads the file sends images to them for maxSkew.
//
// It is not safe for concurrent use.
type overlap struct {
	latest *admission.Rules // of the file

	sending   *admission.Rules // whose mirrors images are sent to until delayEnds
	delayEnds time.Time        // zero: there is no delay
	former    []formerRules    // ascending by until
	// judgedUntil is until when a replica can have an earlier version that depends on names.
	judgedUntil time.Time

	applied *admission.Rules // the last result of at
	state   overlapState     // for which it was made
}

// formerRules are those of an earlier version with other mirrors.
type formerRules struct {
	*admission.Rules
	until time.Time
}

// overlapState changes whenever other rules apply.
type overlapState struct {
	latest  *admission.Rules
	first   time.Time // until of the first former mirrors
	delayed bool
}

// change replaces the rules at a time.
func (o *overlap) change(next *admission.Rules, now time.Time) {
	before, sending := o.latest, o.latest
	if o.isDelayed(now) {
		sending = o.sending
	}
	if judgesNames(before) {
		o.judgedUntil = now.Add(maxSkew)
	}
	o.latest = next
	o.delay(sending, before, now)
	o.remember(sending, now)
	o.remember(before, now)
}

// delay lets images be sent to the old mirrors for maxSkew, if they differ and that matters.
func (o *overlap) delay(sending, before *admission.Rules, now time.Time) {
	switch {
	case sameMirrors(sending, o.latest) || !now.Before(o.judgedUntil):
		o.delayEnds = time.Time{}
	case o.isDelayed(now) && sameMirrors(before, o.latest): // they wait already
	default:
		o.sending, o.delayEnds = sending, now.Add(maxSkew)
	}
}

// remember accepts the names of an earlier version with other mirrors.
func (o *overlap) remember(rules *admission.Rules, now time.Time) {
	o.former = slices.DeleteFunc(o.former, func(f formerRules) bool { return f.Rules == rules })
	if !sameMirrors(rules, o.latest) {
		o.former = append(o.former, formerRules{rules, now.Add(2 * maxSkew)})
	}
}

func sameMirrors(a, b *admission.Rules) bool {
	return a.Policy.Mirrors.String() == b.Policy.Mirrors.String()
}

// judgesNames reports whether the rules depend on the names of images or registries.
func judgesNames(rules *admission.Rules) bool {
	p := &rules.Policy
	return !p.Allowed.IsEmpty() || !p.Exempt.IsEmpty() || !p.RequireDigest.IsEmpty() || !p.Denied.IsEmpty()
}

// at returns the rules that apply at a time. The result is the same until other rules apply.
func (o *overlap) at(now time.Time) *admission.Rules {
	o.former = slices.DeleteFunc(o.former, func(f formerRules) bool { return !now.Before(f.until) })
	state := overlapState{latest: o.latest, delayed: o.isDelayed(now)}
	if len(o.former) > 0 {
		state.first = o.former[0].until
	}
	if state != o.state {
		o.applied, o.state = o.rules(state), state
	}
	return o.applied
}

func (o *overlap) rules(state overlapState) *admission.Rules {
	if len(o.former) == 0 && !state.delayed {
		return o.latest
	}
	rules := *o.latest
	for _, f := range o.former {
		rules.Policy.Former = append(rules.Policy.Former, image.Former{Mirrors: f.Policy.Mirrors, Allowed: f.Policy.Allowed})
	}
	if state.delayed {
		rules.Changes.Mirrors = o.sending.Policy.Mirrors
	}
	return &rules
}

// isDelayed reports whether images are still sent to the old mirrors.
func (o *overlap) isDelayed(now time.Time) bool { return now.Before(o.delayEnds) }
