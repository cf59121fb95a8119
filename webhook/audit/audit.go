// Package audit applies the rules to the images that a cluster runs: it says which pods would be refused
// if they were created again in the mode deny, and which images are mirrored to where.
//
// It reads the pods and the templates of workloads in pages, and keeps only what it reports: a row for each
// image of an owner that breaks a rule, and an entry for each mirrored image. So the memory depends on the
// size of a page and of the result, not on the number of pods. It changes nothing in the cluster.
//
// An owner is what a user changes to get other pods: the Deployment and not its ReplicaSets or pods, the
// CronJob and not its Jobs. Finished pods and finished Jobs are skipped: nothing creates them again. Mirror
// pods of static pods are skipped, because the webhook never decides about them, and so are the namespaces
// for which it is never called.
//
// What cannot be read is a Problem, and the rest is still audited. Texts of the cluster are untrusted:
// Print lets none of them control a terminal.
package audit

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/report"
	"github.com/image-webhook/image-webhook/webhook/status"
)

// Options are the cluster and the rules.
type Options struct {
	Config    *rest.Config
	Namespace string // the only one to audit; empty: all
	Rules     *admission.Rules
	Policy    string // where the rules are from, for the output
	Assumed   string // why the modes are those of the manifests, for the output; empty: they are not
	// Scope returns what the webhooks do in a namespace with these labels.
	Scope func(name string, labels map[string]string) status.Scope
	// Progress is called after each page of pods with the number of pods that were read; nil: it is not.
	Progress func(pods int)
}

// Result is what an audit has found. The lists are sorted, and empty instead of nil.
type Result struct {
	Policy      string       `json:"policy"`
	Assumed     string       `json:"modesAssumed,omitempty"`
	Summary     Summary      `json:"summary"`
	Namespaces  []Namespace  `json:"namespaces"`
	Findings    []Finding    `json:"findings"`
	MirrorRules []MirrorRule `json:"mirrorRules"`
	Mirrored    []Mirrored   `json:"mirrored"`
	Missing     []Pair       `json:"missing"` // what the mirrors do not have, if they were asked
	Problems    []Problem    `json:"problems"`
}

// Summary counts what was audited.
type Summary struct {
	Namespaces int `json:"namespaces"` // without those that are excluded
	Pods       int `json:"pods"`
	Refused    int `json:"refused"` // pods that would be refused in the mode deny
	Owners     int `json:"owners"`  // of findings
}

// Namespace is a namespace with its mode and what was found in it.
type Namespace struct {
	Name    string `json:"name"`
	Mode    string `json:"mode"` // deny, warn, off or excluded
	Pods    int    `json:"pods"`
	Refused int    `json:"refused"`
	Owners  int    `json:"owners"` // of findings

	mirrors bool
}

// Finding is an image that breaks rules. Pods is 0 if only the template of the owner has it.
type Finding struct {
	Namespace  string             `json:"namespace"`
	Mode       string             `json:"mode"`
	Owner      string             `json:"owner"`  // in kubectl's notation: deployment/web
	Pods       int                `json:"pods"`   // with this image
	Holder     string             `json:"holder"` // container or volume
	Name       string             `json:"name"`   // of the holder
	Image      string             `json:"image"`  // as the user most likely wrote it
	Violations []report.Violation `json:"violations"`
}

// Mirrored is an image that is mirrored in the modes deny and warn.
type Mirrored struct {
	Image string `json:"image"` // as a user most likely wrote it; several are joined with " or "
	// From is the complete reference of the original; empty: several originals are mirrored to To.
	From string `json:"from,omitempty"`
	To   string `json:"to"`   // the reference on the mirror
	Rule string `json:"rule"` // docker.io=mirror.example
	MirrorPods
}

// MirrorRule is a rule that mirrors images.
type MirrorRule struct {
	Rule   string `json:"rule"` // docker.io=mirror.example
	Images int    `json:"images"`
	MirrorPods
}

// MirrorPods counts the pods with an image, or with one of several. A pod can have both.
type MirrorPods struct {
	Mirror   int `json:"podsOnMirror"`
	Original int `json:"podsOnOriginal"` // such as a pod that is older than the webhook
}

// Problem is something that could not be read, so that the result is incomplete.
type Problem struct {
	Namespace string `json:"namespace,omitempty"` // empty: all
	Message   string `json:"message"`
}

// Pair is the complete reference of an image and its reference on a mirror.
type Pair struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Pairs returns each mirrored image once, except those whose original is not known.
func (r *Result) Pairs() (pairs []Pair) {
	for _, m := range r.Mirrored {
		if m.From != "" {
			pairs = append(pairs, Pair{m.From, m.To})
		}
	}
	return pairs
}

// Run audits a cluster. It returns an error if nothing can be audited, or if ctx ends.
func Run(ctx context.Context, o Options) (*Result, error) {
	client, err := newReader(o.Config)
	if err != nil {
		return nil, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	c := newCollector(o)
	if err := c.readNamespaces(ctx, client, o.Namespace); err != nil {
		return nil, err
	}
	for _, k := range kinds {
		c.readKind(ctx, client, k, o.Namespace)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return c.result(), nil
}
