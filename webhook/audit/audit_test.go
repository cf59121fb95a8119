package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/status"
)

// cluster is an API server that has lists of objects. Errors that a real one returns only after a long time
// or under load need this one; e2e/integration has the others.
type cluster struct {
	pages    map[string][]string // the items of each page, as JSON, by path
	statuses map[string]string   // the answer to a request, as a Status in JSON, by path and token
	requests []string
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("continue")
	request := strings.TrimSuffix(r.URL.Path+"?"+token, "?")
	c.requests = append(c.requests, request)
	w.Header().Set("Content-Type", "application/json")
	if answer, ok := c.statuses[request]; ok {
		code, text, _ := strings.Cut(answer, " ")
		number, _ := strconv.Atoi(code)
		w.WriteHeader(number)
		fmt.Fprint(w, text)
		return
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(token, "fresh-"))
	next, items := "", ""
	if pages := c.pages[r.URL.Path]; n < len(pages) {
		items = pages[n]
		if n+1 < len(pages) {
			next = strconv.Itoa(n + 1)
		}
	}
	fmt.Fprintf(w, `{"kind":"List","metadata":{"continue":%q},"items":[%s]}`, next, items)
}

const (
	forbidden = `403 {"kind":"Status","apiVersion":"v1","status":"Failure","message":"no rights","reason":"Forbidden","code":403}`
	broken    = `500 {"kind":"Status","apiVersion":"v1","status":"Failure","message":"etcd is broken","reason":"InternalError","code":500}`
)

// expired returns the answer to a token that is too old.
func expired(fresh string) string {
	return fmt.Sprintf(`410 {"kind":"Status","apiVersion":"v1","metadata":{"continue":%q},"status":"Failure","message":"too old","reason":"Expired","code":410}`, fresh)
}

// namespaces returns namespaces whose mode is their name.
func namespaces(names ...string) string {
	for i, name := range names {
		names[i] = fmt.Sprintf(`{"metadata":{"name":%q,"labels":{"mode":%q}}}`, name, name)
	}
	return strings.Join(names, ",")
}

// newPod returns a pod that runs one container, with the controller in the form KIND/NAME.
func newPod(namespace, name, controller, image string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q%s},"spec":{"containers":[{"name":"web","image":%q}]},"status":{"phase":"Running"}}`,
		name, namespace, ownerJSON(controller), image)
}

// newWorkload returns an object with a template.
func newWorkload(namespace, name, controller, image string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q%s},"spec":{"template":{"spec":{"containers":[{"name":"web","image":%q}]}}}}`,
		name, namespace, ownerJSON(controller), image)
}

func ownerJSON(controller string) string {
	if controller == "" {
		return ""
	}
	kind, name, _ := strings.Cut(controller, "/")
	group := map[string]string{"ReplicaSet": "apps/v1", "Deployment": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1", "Rollout": "argoproj.io/v1alpha1"}[kind]
	return fmt.Sprintf(`,"ownerReferences":[{"apiVersion":"v1","kind":"Other","name":"x"},{"apiVersion":%q,"kind":%q,"name":%q,"controller":true}]`, group, kind, name)
}

// audit runs an audit with rules that deny the tag latest and mirror docker.io and quay.io.
func (c *cluster) audit(t *testing.T, only string) (*Result, error) {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return Run(t.Context(), Options{Config: &rest.Config{Host: server.URL}, Namespace: only, Rules: rules(t, "hub.example,quay.io=quay.example"), Policy: "test", Scope: scope})
}

func rules(t *testing.T, mirrors string) *admission.Rules {
	t.Helper()
	m, err := image.ParseMirrors(mirrors)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := image.ParseTags("latest")
	if err != nil {
		t.Fatal(err)
	}
	return &admission.Rules{Policy: image.Policy{Disallowed: tags, Mirrors: m}, Changes: admission.Changes{Mirrors: m}}
}

func scope(_ string, labels map[string]string) status.Scope {
	mode := labels["mode"]
	return status.Scope{Mode: mode, Mirrors: mode == "deny" || mode == "warn"}
}

func mustAudit(t *testing.T, c *cluster) *Result {
	t.Helper()
	r, err := c.audit(t, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines returns the findings in the form NAMESPACE OWNER PODS IMAGE.
func lines(r *Result) (lines []string) {
	for _, f := range r.Findings {
		lines = append(lines, fmt.Sprintf("%s %s %d %s", f.Namespace, f.Owner, f.Pods, f.Image))
	}
	return lines
}

func TestFindingsAreGroupedByOwner(t *testing.T) {
	pods := []string{ // each is a page, so that texts that were not copied change
		newPod("warn", "web-1-a", "ReplicaSet/web-1", "hub.example/library/nginx:latest"),
		newPod("warn", "web-1-b", "ReplicaSet/web-1", "nginx:latest"),
		newPod("warn", "web-2-c", "ReplicaSet/web-2", "nginx:1.25"),
		newPod("warn", "canary-1-x", "ReplicaSet/canary-1", "quay.example/canary"),
		newPod("deny", "sync-1-y", "Job/sync-1", "gcr.io/sync"),
		newPod("deny", "sync-2-z", "Job/sync-2", "gcr.io/sync"),
		newPod("deny", "gone-1-z", "ReplicaSet/gone-1", "gcr.io/gone"),
		newPod("off", "alone", "", "gcr.io/alone"),
	}
	r := mustAudit(t, &cluster{pages: map[string][]string{
		namespacesPath: {namespaces("warn", "deny"), namespaces("off")},
		"/api/v1/pods": pods,
		"/apis/apps/v1/replicasets": {
			newWorkload("warn", "web-1", "Deployment/web", "nginx:latest"),
			newWorkload("warn", "web-0", "Deployment/web", "nginx:latest"),
			newWorkload("warn", "canary-1", "Rollout/canary", "quay.io/canary"),
			newWorkload("warn", "manual", "", "gcr.io/manual"),
		},
		"/apis/apps/v1/deployments": {newWorkload("warn", "web", "", "docker.io/nginx:latest"), newWorkload("warn", "fine", "", "nginx:1.25")},
		"/apis/batch/v1/jobs":       {newWorkload("deny", "sync-1", "CronJob/sync", "gcr.io/sync"), newWorkload("deny", "sync-2", "CronJob/sync", "gcr.io/sync")},
		"/apis/batch/v1/cronjobs":   {`{"metadata":{"name":"sleeps","namespace":"deny"},"spec":{"jobTemplate":{"spec":{"template":{"spec":{"initContainers":[{"name":"i","image":"gcr.io/sleeps"}]}}}}}}`},
	}})
	want := []string{
		"deny cronjob/sleeps 0 gcr.io/sleeps",
		"deny cronjob/sync 2 gcr.io/sync",
		"deny replicaset/gone-1 1 gcr.io/gone",
		"off pod/alone 1 gcr.io/alone",
		"warn deployment/web 2 docker.io/nginx:latest",
		"warn replicaset/manual 0 gcr.io/manual",
		"warn rollout/canary 1 quay.io/canary",
	}
	if diff := cmp.Diff(want, lines(r)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Summary{Namespaces: 3, Pods: 8, Refused: 7, Owners: 7}, r.Summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	wantNamespaces := []Namespace{{Name: "deny", Mode: "deny", Pods: 3, Refused: 3, Owners: 3}, {Name: "off", Mode: "off", Pods: 1, Refused: 1, Owners: 1}, {Name: "warn", Mode: "warn", Pods: 4, Refused: 3, Owners: 3}}
	if diff := cmp.Diff(wantNamespaces, r.Namespaces, cmpopts.IgnoreUnexported(Namespace{})); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
}

func TestSomeObjectsAreSkipped(t *testing.T) {
	phase := func(name, phase string) string {
		return strings.Replace(newPod("deny", name, "", "gcr.io/x"), "Running", phase, 1)
	}
	ended := func(kind, value string) string {
		return strings.TrimSuffix(newWorkload("deny", kind+value, "", "gcr.io/x"), "}") + fmt.Sprintf(`,"status":{"conditions":[{"type":"Suspended","status":"True"},{"type":%q,"status":%q}]}}`, kind, value)
	}
	r := mustAudit(t, &cluster{pages: map[string][]string{
		namespacesPath: {namespaces("deny", "excluded")},
		"/api/v1/pods": {strings.Join([]string{
			phase("succeeded", "Succeeded"), phase("failed", "Failed"), phase("pending", "Pending"),
			newPod("excluded", "web", "", "gcr.io/x"),
			strings.Replace(newPod("deny", "static", "", "gcr.io/x"), `"name":"static"`, `"name":"static","annotations":{"kubernetes.io/config.mirror":"x"}`, 1),
		}, ",")},
		"/apis/batch/v1/jobs": {ended("Complete", "True") + "," + ended("Failed", "True") + "," + ended("Failed", "False")},
	}})
	if diff := cmp.Diff([]string{"deny job/FailedFalse 0 gcr.io/x", "deny pod/pending 1 gcr.io/x"}, lines(r)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Summary{Namespaces: 1, Pods: 1, Refused: 1, Owners: 2}, r.Summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestMirroredImages(t *testing.T) {
	two := `{"metadata":{"name":"two","namespace":"deny"},"spec":{"containers":[{"name":"a","image":"hub.example/library/a:1"},{"name":"b","image":"hub.example/library/a:1"},{"name":"c","image":"hub.example/library/c:1"}],"volumes":[{"name":"v","image":{"reference":"d:1"}},{"name":"w"}]}}`
	c := &cluster{pages: map[string][]string{
		namespacesPath:              {namespaces("deny", "off")},
		"/api/v1/pods":              {two, newPod("deny", "b", "", "quay.example/org/b:1"), newPod("deny", "old", "", "a:1"), newPod("off", "a", "", "e:1"), newPod("deny", "other", "", "gcr.io/f:1")},
		"/apis/apps/v1/deployments": {newWorkload("deny", "g", "", "index.docker.io/library/g:1")},
	}}
	r := mustAudit(t, c)
	const hub, quay = "docker.io=hub.example", "quay.io=quay.example"
	want := []Mirrored{
		{"a:1", "docker.io/library/a:1", "hub.example/library/a:1", hub, MirrorPods{Mirror: 1, Original: 1}},
		{"c:1", "docker.io/library/c:1", "hub.example/library/c:1", hub, MirrorPods{Mirror: 1}},
		{"d:1", "docker.io/library/d:1", "hub.example/library/d:1", hub, MirrorPods{Original: 1}},
		{"index.docker.io/library/g:1", "docker.io/library/g:1", "hub.example/library/g:1", hub, MirrorPods{}},
		{"quay.io/org/b:1", "quay.io/org/b:1", "quay.example/org/b:1", quay, MirrorPods{Mirror: 1}},
	}
	if diff := cmp.Diff(want, r.Mirrored); diff != "" {
		t.Errorf("mirrored (-want +got):\n%s", diff)
	}
	wantRules := []MirrorRule{{hub, 4, MirrorPods{Mirror: 1, Original: 2}}, {quay, 1, MirrorPods{Mirror: 1}}}
	if diff := cmp.Diff(wantRules, r.MirrorRules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if pairs := r.Pairs(); len(pairs) != 5 || pairs[0] != (Pair{"docker.io/library/a:1", "hub.example/library/a:1"}) {
		t.Errorf("pairs: %v", pairs)
	}
}

// Neither a wildcard nor mirrors that share a path tell what the original of a pod's image is.
func TestOriginalsThatPodsDoNotTell(t *testing.T) {
	c := &cluster{pages: map[string][]string{
		namespacesPath:              {namespaces("deny")},
		"/api/v1/pods":              {newPod("deny", "a", "Other/x", "all.example/org/a"), newPod("deny", "b", "", "shared.example/b:1")},
		"/apis/apps/v1/deployments": {newWorkload("deny", "x", "", "gcr.io/org/a")},
	}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	r, err := Run(t.Context(), Options{Config: &rest.Config{Host: server.URL}, Rules: rules(t, "one.io=shared.example,two.io=shared.example,*=all.example"), Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	want := []Mirrored{
		{"gcr.io/org/a", "gcr.io/org/a", "all.example/org/a", "*=all.example", MirrorPods{Mirror: 1}},
		{"one.io/b:1 or two.io/b:1", "", "shared.example/b:1", "one.io=shared.example", MirrorPods{Mirror: 1}},
	}
	if diff := cmp.Diff(want, r.Mirrored); diff != "" {
		t.Errorf("mirrored (-want +got):\n%s", diff)
	}
	if pairs := r.Pairs(); len(pairs) != 1 {
		t.Errorf("pairs: %v, want only the known one", pairs)
	}
}

func TestExpiredTokenContinuesWithFreshOne(t *testing.T) {
	c := &cluster{
		pages: map[string][]string{
			namespacesPath: {namespaces("deny")},
			"/api/v1/pods": {newPod("deny", "a", "", "gcr.io/a"), newPod("deny", "b", "", "gcr.io/b"), newPod("deny", "c", "", "gcr.io/c")},
		},
		statuses: map[string]string{"/api/v1/pods?1": expired("fresh-1"), "/api/v1/pods?2": expired("")},
	}
	r := mustAudit(t, c)
	if diff := cmp.Diff([]string{"deny pod/a 1 gcr.io/a", "deny pod/b 1 gcr.io/b"}, lines(r)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	want := []Problem{{"", "cannot read pods: too old: run the command again"}}
	if diff := cmp.Diff(want, r.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	asked := slices.DeleteFunc(c.requests, func(r string) bool { return !strings.HasPrefix(r, "/api/v1/pods") })
	if diff := cmp.Diff([]string{"/api/v1/pods", "/api/v1/pods?1", "/api/v1/pods?fresh-1", "/api/v1/pods?2"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestUnreadablePartsAreProblems(t *testing.T) {
	all := map[string]string{}
	for _, k := range kinds {
		all[k.path("")], all[k.path("secret")] = forbidden, forbidden
	}
	all["/api/v1/namespaces/half/pods"] = forbidden
	all["/apis/apps/v1/namespaces/half/daemonsets"] = broken
	r := mustAudit(t, &cluster{
		statuses: all,
		pages: map[string][]string{
			namespacesPath:                              {namespaces("deny", "half", "secret", "excluded")},
			"/api/v1/namespaces/deny/pods":              {newPod("deny", "a", "", "gcr.io/a")},
			"/apis/apps/v1/namespaces/half/deployments": {newWorkload("half", "b", "", "gcr.io/b")},
		},
	})
	want := []Problem{
		{"half", `cannot read daemonsets, pods: etcd is broken: run the command again`},
		{"secret", "cannot read pods and workloads: no rights: get the rights of the ClusterRole view there"},
	}
	if diff := cmp.Diff(want, r.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"deny pod/a 1 gcr.io/a", "half deployment/b 0 gcr.io/b"}, lines(r)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestOneNamespace(t *testing.T) {
	c := &cluster{
		statuses: map[string]string{
			"/api/v1/namespaces/deny":    `200 ` + namespaces("deny"),
			"/api/v1/namespaces/private": forbidden,
			"/api/v1/namespaces/none":    `404 {"kind":"Status","apiVersion":"v1","status":"Failure","message":"x","reason":"NotFound","code":404}`,
			"/api/v1/namespaces/broken":  broken,
			namespacesPath:               forbidden,
		},
		pages: map[string][]string{
			"/api/v1/namespaces/deny/pods":    {newPod("deny", "a", "", "gcr.io/a")},
			"/api/v1/namespaces/private/pods": {newPod("private", "b", "", "gcr.io/b")},
		},
	}
	for _, tt := range []struct{ namespace, finding, problem, err string }{
		{namespace: "deny", finding: "deny pod/a 1 gcr.io/a"},
		{namespace: "private", finding: "private pod/b 1 gcr.io/b", problem: "cannot read its mode: no rights: get the rights of the ClusterRole view there"},
		{namespace: "none", err: `namespace "none" does not exist: use another --namespace`},
		{namespace: "broken", err: `cannot read namespace "broken": etcd is broken`},
		{namespace: "", err: "cannot list namespaces: no rights: use --namespace to audit one that you may read"},
	} {
		r, err := c.audit(t, tt.namespace)
		if err != nil {
			if err.Error() != tt.err {
				t.Errorf("%q: error %q, want %q", tt.namespace, err, tt.err)
			}
			continue
		}
		if got := strings.Join(lines(r), ","); got != tt.finding {
			t.Errorf("%q: findings %s, want %s", tt.namespace, got, tt.finding)
		}
		if len(r.Problems) > 0 != (tt.problem != "") || len(r.Problems) > 0 && r.Problems[0] != (Problem{tt.namespace, tt.problem}) {
			t.Errorf("%q: problems %v, want %q", tt.namespace, r.Problems, tt.problem)
		}
	}
}

func TestInterruptionIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &cluster{pages: map[string][]string{namespacesPath: {namespaces("deny")}, "/api/v1/pods": {newPod("deny", "a", "", "gcr.io/a"), ""}}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	var shown []int
	progress := func(pods int) { shown = append(shown, pods); cancel() }
	_, err := Run(ctx, Options{Config: &rest.Config{Host: server.URL}, Rules: rules(t, ""), Scope: scope, Progress: progress})
	if !errors.Is(err, context.Canceled) || !slices.Equal(shown, []int{1}) {
		t.Errorf("got error %v after progress %v, want canceled after 1", err, shown)
	}
}
