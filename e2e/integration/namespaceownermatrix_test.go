package integration

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
)

// The matrix of owners combines every kind of user with every way to write the owner or the
// tenancy of a namespace, and every state of the namespace. RBAC allows all requests, so that
// only the rules of the feature refuse them. The expected results are computed from the rules
// in this file, without the code and the policies of the feature.

// standing is how the rules treat a user.
type standing int

const (
	ordinary   standing = iota
	steward             // has the verb set-owner
	exempt              // is not checked
	anonymous           // cannot own a namespace
	controller          // is our controller, which its own policy confines
)

// requester is a user of the matrix.
type requester struct {
	title    string
	user     string
	groups   []string
	standing standing
}

// All requests impersonate the user, so the matrix also shows that the owner is the
// impersonated user. Trap: argoproj/argo-cd#7689.
var requesters = []requester{
	{"user", "alice", []string{creators, writers}, ordinary},
	{"user with set-owner", "carol", []string{writers, stewards}, steward},
	{"service account", "system:serviceaccount:ci:builder", []string{creators, writers}, ordinary},
	{"cluster-admin", "root@example.com", []string{admins}, steward},
	{"system:masters", "kubernetes-admin", []string{mastersGroup}, exempt},
	{"anonymous", anonymousUser, []string{"system:unauthenticated", creators, writers}, anonymous},
	{"service account of kube-system", "system:serviceaccount:kube-system:operator", []string{writers}, exempt},
	{"kube-controller-manager", "system:kube-controller-manager", []string{writers}, exempt},
	{"our controller", controllerUser, []string{writers}, controller},
}

// anotherOwner owns the namespaces that do not belong to the requester.
const anotherOwner = "dave"

// refusal contains alternative parts of the message of a denial; nil: the request is allowed.
type refusal []string

// refuseUpdate is the rule for updates: only users with the verb set-owner change the owner,
// only the controller changes the tenancy, and the controller changes nothing else.
func (r requester) refuseUpdate(namespace string, before, after ownership, otherChange bool) refusal {
	const confined = "the controller may only write the label image-webhook.dev/tenancy and the condition"
	switch {
	case r.standing == exempt:
		return nil
	case before.Owner != after.Owner && r.standing != steward:
		return refusal{fmt.Sprintf("user %q cannot change the owner of namespace %q", r.user, namespace), confined}
	case before.Tenancy != after.Tenancy && r.standing != controller:
		return refusal{"only the controller of image-webhook changes the label"}
	case otherChange && r.standing == controller:
		return refusal{confined}
	}
	return nil
}

// createOutcome is the rule for new namespaces: ordinary users own what they create, users with
// the verb set-owner choose an owner or none, and what has an owner is pending.
func (r requester) createOutcome(sent ownership) (stored ownership, refused refusal) {
	stored = sent
	switch {
	case r.standing == exempt:
		return sent, nil
	case r.standing == anonymous:
		return ownership{}, refusal{fmt.Sprintf("user %q cannot own a namespace", r.user)}
	case r.standing != steward && sent.Owner != "" && sent.Owner != r.user:
		return ownership{}, refusal{fmt.Sprintf("user %q cannot create a namespace with the owner %q", r.user, sent.Owner)}
	case sent.Tenancy != "" && sent.Tenancy != "pending":
		return ownership{}, refusal{`of a new namespace must be "pending"`}
	case r.standing != steward:
		stored.Owner = r.user
	}
	if stored.Owner != "" {
		stored.Tenancy = "pending"
	}
	return stored, nil
}

// ownerCase is one request of the matrix.
type ownerCase struct {
	requester
	what, state string
	run         func(t *testing.T, s *ownerServer, c clientset.Interface) ownerResult
}

func (c ownerCase) title() string {
	return strings.Join([]string{c.requester.title, c.state, c.what}, "/")
}

// ownerResult is the outcome of a request, and what the rules say.
type ownerResult struct {
	err        error
	got, want  ownership // what is stored after the request
	sent       ownership // what was stored before, or was in the request that created it
	refused    refusal   // by the rules
	unexpected string    // another difference
}

// check compares the outcome with the rules, and counts it.
func (r ownerResult) check(t *testing.T, c ownerCase) {
	t.Helper()
	switch {
	case r.refused == nil && r.err != nil:
		t.Errorf("got error %v, want none", r.err)
	case r.refused != nil && !isDenialWith(r.err, r.refused):
		t.Errorf("got error %v, want a denial that contains one of %q", r.err, r.refused)
	}
	if diff := cmp.Diff(r.want, r.got); diff != "" {
		t.Errorf("stored ownership differs (-want +got):\n%s", diff)
	}
	if r.unexpected != "" {
		t.Error(r.unexpected)
	}
	if t.Failed() {
		return
	}
	ownerCounts.Lock()
	defer ownerCounts.Unlock()
	switch {
	case r.refused != nil:
		ownerCounts.outcomes[c.title()] = "refused"
	case r.want == r.sent:
		ownerCounts.outcomes[c.title()] = "unchanged"
	case c.state == absent:
		ownerCounts.outcomes[c.title()] = "stamped"
	default:
		ownerCounts.outcomes[c.title()] = "changed"
	}
}

// isDenialWith reports whether the webhook or a policy of the feature has denied a request,
// with one of the texts.
func isDenialWith(err error, texts []string) bool {
	if !isPolicyDenial(err) && !(apierrors.IsForbidden(err) && strings.Contains(err.Error(), "-owner.image-webhook.dev\" denied the request: ")) {
		return false
	}
	for _, text := range texts {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// ownerCounts contains the outcomes of the passed cases by title.
var ownerCounts = struct {
	sync.Mutex
	outcomes map[string]string
}{outcomes: map[string]string{}}

// printOwnerMatrix prints a summary of the matrix of owners, if it was run.
func printOwnerMatrix(out io.Writer) {
	ownerCounts.Lock()
	defer ownerCounts.Unlock()
	if len(ownerCounts.outcomes) == 0 {
		return
	}
	programs, err := kubebuild.FromEnvironment(suiteContext, root)
	if err != nil { // cannot happen after a run
		fmt.Fprintln(out, err)
		return
	}
	count := map[string]int{}
	for _, outcome := range ownerCounts.outcomes {
		count[outcome]++
	}
	fmt.Fprintf(out, "matrix of namespace owners on Kubernetes %s: %d of %d cases as expected: %d refused, %d stamped, %d changed, %d unchanged\n",
		programs.Release, len(ownerCounts.outcomes), len(ownerCases()), count["refused"], count["stamped"], count["changed"], count["unchanged"])
}

// ownerCases returns all cases of the matrix, those of a requester and a state one after the
// other.
func ownerCases() (all []ownerCase) {
	for _, r := range requesters {
		for _, request := range creations {
			all = append(all, ownerCase{r, request.title, absent, func(t *testing.T, s *ownerServer, c clientset.Interface) ownerResult {
				return request.run(t, s, c, r)
			}})
		}
		for _, state := range namespaceStates {
			all = append(all, state.cases(r)...)
		}
	}
	return all
}

func TestNamespaceOwnerMatrixHasTheExpectedOutcomes(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startRulesServer)
	groups := map[string][]ownerCase{}
	for _, c := range ownerCases() {
		key := c.requester.title + "/" + c.state
		groups[key] = append(groups[key], c)
	}
	for key, cases := range groups {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			client := server.mustAs(cases[0].user, cases[0].groups...)
			for _, c := range cases {
				t.Run(c.what, func(t *testing.T) { c.run(t, server, client).check(t, c) })
			}
		})
	}
}

// absent is the state of a namespace that the request creates.
const absent = "absent"

// namespaceState is a namespace that exists before the request.
type namespaceState struct {
	title     string
	ownership func(requester) ownership
	deleted   bool
}

var namespaceStates = []namespaceState{
	// Trap: CVE-2024-39690, a namespace without an owner is patched into one's own.
	{"without owner", func(requester) ownership { return ownership{} }, false},
	{"pending", func(r requester) ownership { return ownership{r.user, "pending"} }, false},
	{"ready", func(r requester) ownership { return ownership{r.user, "ready"} }, false},
	{"ready of another owner", func(requester) ownership { return ownership{anotherOwner, "ready"} }, false},
	{"terminating", func(r requester) ownership { return ownership{r.user, "ready"} }, true},
}

// create creates the namespace of a state. Members of system:masters may create it as it is.
func (state namespaceState) create(t *testing.T, s *ownerServer, r requester) *corev1.Namespace {
	t.Helper()
	created, err := s.createNamespace(t.Context(), state.ownership(r).meta(newName("state")))
	if err != nil {
		t.Fatal(err)
	}
	if !state.deleted {
		return created
	}
	// Without kube-controller-manager, it stays terminating.
	if err := s.client.CoreV1().Namespaces().Delete(t.Context(), created.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return s.get(t, created.Name)
}

// cases returns the updates and the deletion of a namespace in this state. The updates share
// one namespace, which is restored after a change.
func (state namespaceState) cases(r requester) (all []ownerCase) {
	var shared *sharedNamespace
	namespace := func(t *testing.T, s *ownerServer) *sharedNamespace {
		if shared == nil {
			original := state.create(t, s, r)
			shared = &sharedNamespace{original, original.ResourceVersion}
		}
		return shared
	}
	for _, change := range changes {
		for _, way := range writeWays {
			if way.cannotRemove && change.removes {
				continue
			}
			all = append(all, ownerCase{r, change.title + " with " + way.title, state.title, func(t *testing.T, s *ownerServer, c clientset.Interface) ownerResult {
				return change.run(t, s, c, r, namespace(t, s), way)
			}})
		}
	}
	return append(all, ownerCase{r, "delete", state.title, func(t *testing.T, s *ownerServer, c clientset.Interface) ownerResult {
		// Trap: akuity/kargo#6443, what protects the owner must not prevent the deletion.
		before := state.ownership(r)
		name := namespace(t, s).original.Name
		err := c.CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{})
		after := s.get(t, name)
		result := ownerResult{err: err, got: ownershipOf(after), want: before, sent: before}
		if after.DeletionTimestamp == nil {
			result.unexpected = "the namespace is not being deleted"
		}
		return result
	}})
}
