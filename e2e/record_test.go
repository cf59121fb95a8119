package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
)

const (
	recording      = "recording"                       // the namespace of the recorded objects
	recordingLabel = "e2e.image-webhook.dev/recording" // of namespaces whose reviews are kept
	reviewsFolder  = "../webhook/admission/testdata/reviews"
)

// dockerHosts is where a node finds the registry of the recorded pods' images.
const dockerHosts = devcluster.RegistryHosts + "/docker.io"

// forgetRecorded makes a node forget what it pulled for them, under tag and digest,
// and where it pulled it from.
const forgetRecorded = "rm -rf " + dockerHosts + "; " +
	"ctr --namespace=k8s.io images ls --quiet | grep -E '^docker.io/library/(nginx|busybox)[:@]' | xargs --no-run-if-empty ctr --namespace=k8s.io images rm"

// step makes the API server send one review that is worth keeping. Its commands
// are kubectl's, in the namespace of the recording unless they name another.
type step struct {
	file    string // that the review is written to, without .json
	before  []string
	command string
	keep    wanted
}

// wanted says which review of a command is kept: the last one that fits.
type wanted struct {
	kind, subresource, name string // no name: any
	operation               admissionv1.Operation
}

func created(kind, name string) wanted {
	return wanted{kind: kind, name: name, operation: admissionv1.Create}
}

func updated(kind, name string) wanted {
	return wanted{kind: kind, name: name, operation: admissionv1.Update}
}

func debugged(name string) wanted {
	return wanted{kind: "Pod", subresource: "ephemeralcontainers", name: name, operation: admissionv1.Update}
}

const (
	hold     = `patch pod/web --type=merge -p {"metadata":{"finalizers":["example.com/hold"]}}`
	release  = `patch pod/web --type=merge -p {"metadata":{"finalizers":null}}`
	dryRunOf = "create --dry-run=server -f testdata/"

	// So that the status in a review is the same each time.
	webIsReady      = "wait pod/web --for=condition=Ready --timeout=60s"
	webHasRestarted = "wait pod/web --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s"
	debuggerRuns    = "wait pod/web --for=jsonpath={.status.ephemeralContainerStatuses[0].state.running} --timeout=60s"
	shopIsRolledOut = "rollout status deployment/shop --timeout=60s"
)

// reviewLimit is for the kubelet, which looks after its static pods about once
// a minute.
const reviewLimit = 2 * time.Minute

// A later step finds what the earlier ones have created.
var steps = []step{
	{file: "pod-create", command: "run web --image=nginx:1.25", keep: created("Pod", "web")},
	{file: "pod-create-dry-run", command: "run dry --image=nginx:1.25 --dry-run=server", keep: created("Pod", "dry")},
	{file: "pod-create-latest", command: "run latest --image=nginx:latest --image-pull-policy=IfNotPresent", keep: created("Pod", "latest")},
	{file: "pod-create-by-replicaset", command: "create deployment front --image=nginx:1.25", keep: created("Pod", "")},
	{file: "pod-create-full", command: dryRunOf + "pod-full.yaml", keep: created("Pod", "full")},
	{file: "pod-update-label", before: []string{webIsReady}, command: "label pod/web tier=front", keep: updated("Pod", "web")},
	{file: "pod-update-finalizer", before: []string{hold}, command: release, keep: updated("Pod", "web")},
	{file: "pod-update-set-image", command: "set image pod/web web=nginx:1.26", keep: updated("Pod", "web")},
	{file: "pod-debug", before: []string{webHasRestarted, webIsReady}, command: "debug pod/web --image=busybox:1.36 -c debugger", keep: debugged("web")},
	{file: "pod-debug-second", before: []string{debuggerRuns}, command: "debug pod/web --image=busybox:1.36 -c second", keep: debugged("web")},
	// What is deleted is the mirror pod; the static pod goes on, and the kubelet makes it a new one.
	{file: "pod-static", command: "delete pod -n kube-system -l component=kube-scheduler --now --wait=false", keep: created("Pod", "")},

	{file: "deployment-create", command: "create -f testdata/deployment.yaml", keep: created("Deployment", "shop")},
	{file: "deployment-update-image", before: []string{shopIsRolledOut}, command: "set image deployment/shop app=nginx:1.26", keep: updated("Deployment", "shop")},
	{file: "deployment-update-label", before: []string{shopIsRolledOut}, command: "label deployment/shop tier=front", keep: updated("Deployment", "shop")},
	{file: "statefulset-create", command: dryRunOf + "statefulset.yaml", keep: created("StatefulSet", "shop")},
	{file: "daemonset-create", command: dryRunOf + "daemonset.yaml", keep: created("DaemonSet", "shop")},
	{file: "replicaset-create", command: dryRunOf + "replicaset.yaml", keep: created("ReplicaSet", "shop")},
	{file: "replicationcontroller-create", command: dryRunOf + "replicationcontroller.yaml", keep: created("ReplicationController", "shop")},
	{file: "podtemplate-create", command: dryRunOf + "podtemplate.yaml", keep: created("PodTemplate", "shop")},
	{file: "job-create", command: dryRunOf + "job.yaml", keep: created("Job", "shop")},
	{file: "cronjob-create", command: dryRunOf + "cronjob.yaml", keep: created("CronJob", "shop")},
	{file: "namespace-create", command: dryRunOf + "namespace.yaml", keep: created("Namespace", "shop")},
}

// The unit tests judge what a real API server sends. `make record` writes that
// down anew, for another version of Kubernetes say; each file changes then, if
// only in its UIDs and times.
var _ = Describe("recorder", Serial, Label("record", devCluster), func() {
	It("writes the golden reviews", func(ctx SpecContext) {
		pullFromMirror(ctx)
		makeRecordingNamespace(ctx)
		recorder := startRecorder(ctx)
		for _, step := range steps {
			By(step.file)
			step.write(recorder.review(ctx, step))
		}
	}, SpecTimeout(10*time.Minute))
})

// pullFromMirror has the nodes find docker.io in the cluster for as long as it is
// recorded. They forget the images then: to a node, images of the same content are
// one, and it reports a pod's by the first of its names; the mirror's specs look at
// that name.
func pullFromMirror(ctx context.Context) {
	GinkgoHelper()
	c, m := openMirror(ctx)
	DeferCleanup(func(ctx SpecContext) { Expect(c.RunOnNodes(ctx, "sh", "-c", forgetRecorded)).To(Succeed()) })
	Expect(m.Lead(ctx, "docker.io", mirror.Name)).To(Succeed())
	_, err := workshop.Push(ctx, connectTo(ctx, mirror.Name), mirror.Sample{Name: "library/nginx:latest", Addr: ":80"})
	Expect(err).NotTo(HaveOccurred())
}

// makeRecordingNamespace has the same name each time, so that the files differ
// as little as they can. Our own webhook does nothing in it.
func makeRecordingNamespace(ctx context.Context) {
	GinkgoHelper()
	removeRecordingNamespace(ctx) // a run that was killed leaves it behind
	succeed(ctx, "create", "namespace", recording)
	DeferCleanup(func(ctx SpecContext) { removeRecordingNamespace(ctx) })
	succeed(ctx, "label", "namespace", recording, "image-webhook.dev/mode=off", recordingLabel+"=true")
	succeed(ctx, "wait", "--for=create", "serviceaccount/default", "-n", recording, "--timeout=60s")
}

func removeRecordingNamespace(ctx context.Context) {
	GinkgoHelper()
	inRecording(ctx, release) // of a run that ended between hold and release
	succeed(ctx, "delete", "namespace", recording, "--ignore-not-found", "--now")
}

// inRecording runs a command of a step.
func inRecording(ctx context.Context, command string) said {
	GinkgoHelper()
	return kubectl(ctx, append([]string{"-n", recording}, strings.Fields(command)...)...) // of two -n the last counts
}

// recorder keeps the reviews that the API server sends.
type recorder struct {
	mu   sync.Mutex
	kept []recorded
}

type recorded struct {
	request *admissionv1.AdmissionRequest
	body    []byte
}

// startRecorder returns when the API server sends its reviews. The configuration
// comes before ours in the order of names, and so sees images as they were
// written whatever ours does.
func startRecorder(ctx context.Context) *recorder {
	GinkgoHelper()
	r := &recorder{}
	startHostWebhook(ctx, r.allow).registerMutating(ctx, "a-recorder", recordedObjects(), recordedStaticPods())
	probe := step{command: "run probe --image=nginx:1.25 --dry-run=server", keep: created("Pod", "probe")}
	Eventually(func() []byte {
		inRecording(ctx, probe.command)
		return r.last(probe.keep)
	}).WithContext(ctx).ShouldNot(BeEmpty(), "the API server does not reach the recorder")
	return r
}

// recordedObjects are those of the recording namespace. The selector is asked
// about a Namespace's own labels.
func recordedObjects() admissionregistrationv1.MutatingWebhook {
	return admissionregistrationv1.MutatingWebhook{
		Name:              "objects.recorder.image-webhook.dev",
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{recordingLabel: "true"}},
		Rules: []admissionregistrationv1.RuleWithOperations{
			rule("", "pods", "pods/ephemeralcontainers", "replicationcontrollers", "podtemplates", "namespaces"),
			rule("apps", "deployments", "statefulsets", "daemonsets", "replicasets"),
			rule("batch", "jobs", "cronjobs"),
		},
	}
}

// recordedStaticPods are the kubelet's: it makes a pod in the API server for
// each that it runs on its own.
func recordedStaticPods() admissionregistrationv1.MutatingWebhook {
	return admissionregistrationv1.MutatingWebhook{
		Name:              "static-pods.recorder.image-webhook.dev",
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "kube-system"}},
		Rules:             []admissionregistrationv1.RuleWithOperations{rule("", "pods")},
		MatchConditions: []admissionregistrationv1.MatchCondition{{
			Name:       "mirror-pod",
			Expression: `"kubernetes.io/config.mirror" in object.metadata.?annotations.orValue({})`,
		}},
	}
}

func rule(group string, resources ...string) admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule: admissionregistrationv1.Rule{
			APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources,
		},
	}
}

func (r *recorder) allow(review *admissionv1.AdmissionReview, body []byte) *admissionv1.AdmissionResponse {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, recorded{review.Request, body})
	return &admissionv1.AdmissionResponse{Allowed: true}
}

// review runs a step and returns the review that it is for. What becomes of the
// object is not asserted: ours may refuse it, but only after the recorder has
// seen it.
func (r *recorder) review(ctx context.Context, step step) (body []byte) {
	GinkgoHelper()
	for _, command := range step.before {
		Expect(inRecording(ctx, command).Exit).To(BeZero(), "before %s: kubectl %s", step.file, command)
	}
	r.forget()
	answer := inRecording(ctx, step.command)
	Eventually(func() []byte {
		body = r.last(step.keep)
		return body
	}).WithContext(ctx).WithTimeout(reviewLimit).ShouldNot(BeEmpty(), "no review for %s: kubectl %s: %+v", step.file, step.command, answer)
	return body
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = nil
}

func (r *recorder) last(keep wanted) (body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, review := range r.kept {
		if keep.is(review.request) {
			body = review.body
		}
	}
	return body
}

func (w wanted) is(request *admissionv1.AdmissionRequest) bool {
	return request.Kind.Kind == w.kind && request.SubResource == w.subresource && request.Operation == w.operation &&
		(w.name == "" || request.Name == w.name)
}

// write keeps a review as it came, but for the space between its parts.
func (s step) write(body []byte) {
	GinkgoHelper()
	var indented bytes.Buffer
	Expect(json.Indent(&indented, body, "", "  ")).To(Succeed())
	content := append(bytes.TrimSpace(indented.Bytes()), '\n')
	Expect(os.MkdirAll(reviewsFolder, 0o755)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(reviewsFolder, s.file+".json"), content, 0o644)).To(Succeed())
}
