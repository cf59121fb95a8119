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
	recordingNamespace = "recording"                       // namespace of the recorded objects
	recordingLabel     = "e2e.image-webhook.dev/recording" // label of namespaces whose reviews are recorded
	reviewsDir         = "../webhook/admission/testdata/reviews"
)

// dockerHosts is the directory on a node that configures the mirrors of docker.io.
const dockerHosts = devcluster.RegistryHosts + "/docker.io"

// removeUnmirroredImages is a shell command for a node. It removes the images of docker.io that
// were pulled under their own names, by tag and by digest, except those of kind: a node reports
// images with the same content under their first name, which the pull specs check.
const removeUnmirroredImages = "ctr --namespace=k8s.io images ls --quiet | grep -E '^docker.io/(library|bitnami)/' | xargs --no-run-if-empty ctr --namespace=k8s.io images rm"

// step makes the API server send one review that is recorded. Its commands are arguments of
// kubectl. Their default namespace is recordingNamespace.
type step struct {
	file    string   // file of the review, without .json
	before  []string // commands that run first
	stdin   string   // input of command
	command string
	keep    reviewSelector
}

// reviewSelector selects the review of a command that is kept, the last one that matches.
type reviewSelector struct {
	kind, subresource, name string // no name: any
	operation               admissionv1.Operation
}

func created(kind, name string) reviewSelector {
	return reviewSelector{kind: kind, name: name, operation: admissionv1.Create}
}

func updated(kind, name string) reviewSelector {
	return reviewSelector{kind: kind, name: name, operation: admissionv1.Update}
}

func debugged(name string) reviewSelector {
	return reviewSelector{kind: "Pod", subresource: "ephemeralcontainers", name: name, operation: admissionv1.Update}
}

const (
	addFinalizer    = `patch pod/web --type=merge -p {"metadata":{"finalizers":["example.com/hold"]}}`
	removeFinalizer = `patch pod/web --type=merge -p {"metadata":{"finalizers":null}}`
	dryRunCreate    = "create --dry-run=server -f testdata/"

	// webIsReady and the other conditions make the status in a review reproducible.
	webIsReady      = "wait pod/web --for=condition=Ready --timeout=60s"
	webHasRestarted = "wait pod/web --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s"
	debuggerRuns    = "wait pod/web --for=jsonpath={.status.ephemeralContainerStatuses[0].state.running} --timeout=60s"
	shopIsRolledOut = "rollout status deployment/shop --timeout=60s"
)

// isPending is a condition like webIsReady for a pod that recordedPod returned.
func isPending(pod string) string {
	return "wait pod/" + pod + " --for=condition=PodScheduled=False --timeout=60s"
}

// reviewTimeout is long enough for the kubelet, which syncs its static pods about once a
// minute.
const reviewTimeout = 2 * time.Minute

// steps are the steps in their order. A step can use the objects of earlier steps.
var steps = []step{
	{file: "pod-create", command: "run web --image=nginx:1.25", keep: created("Pod", "web")},
	{file: "pod-create-dry-run", command: "run dry --image=nginx:1.25 --dry-run=server", keep: created("Pod", "dry")},
	{file: "pod-create-latest", command: "run latest --image=nginx:latest --image-pull-policy=IfNotPresent", keep: created("Pod", "latest")},
	{file: "pod-create-by-replicaset", command: "create deployment front --image=nginx:1.25", keep: created("Pod", "")},
	{file: "pod-create-full", command: dryRunCreate + "pod-full.yaml", keep: created("Pod", "full")},
	{file: "pod-update-label", before: []string{webIsReady}, command: "label pod/web tier=front", keep: updated("Pod", "web")},
	{file: "pod-update-finalizer", before: []string{addFinalizer}, command: removeFinalizer, keep: updated("Pod", "web")},
	{file: "pod-update-set-image", command: "set image pod/web web=nginx:1.26", keep: updated("Pod", "web")},
	{file: "pod-debug", before: []string{webHasRestarted, webIsReady}, command: "debug pod/web --image=busybox:1.36 -c debugger", keep: debugged("web")},
	{file: "pod-debug-second", before: []string{debuggerRuns}, command: "debug pod/web --image=busybox:1.36 -c second", keep: debugged("web")},
	// The static pod keeps running, and the kubelet creates a new mirror pod.
	{file: "pod-static", command: "delete pod -n kube-system -l component=kube-scheduler --now --wait=false", keep: created("Pod", "")},

	{file: "deployment-create", command: "create -f testdata/deployment.yaml", keep: created("Deployment", "shop")},
	{file: "deployment-update-image", before: []string{shopIsRolledOut}, command: "set image deployment/shop app=nginx:1.26", keep: updated("Deployment", "shop")},
	{file: "deployment-update-label", before: []string{shopIsRolledOut}, command: "label deployment/shop tier=front", keep: updated("Deployment", "shop")},
	{file: "statefulset-create", command: dryRunCreate + "statefulset.yaml", keep: created("StatefulSet", "shop")},
	{file: "daemonset-create", command: dryRunCreate + "daemonset.yaml", keep: created("DaemonSet", "shop")},
	{file: "replicaset-create", command: dryRunCreate + "replicaset.yaml", keep: created("ReplicaSet", "shop")},
	{file: "replicationcontroller-create", command: dryRunCreate + "replicationcontroller.yaml", keep: created("ReplicationController", "shop")},
	{file: "podtemplate-create", command: dryRunCreate + "podtemplate.yaml", keep: created("PodTemplate", "shop")},
	{file: "job-create", command: dryRunCreate + "job.yaml", keep: created("Job", "shop")},
	{file: "cronjob-create", command: dryRunCreate + "cronjob.yaml", keep: created("CronJob", "shop")},
	{file: "namespace-create", command: dryRunCreate + "namespace.yaml", keep: created("Namespace", "shop")},

	// `make bench` sends these.
	{file: "pod-create-1-container", stdin: recordedPod("pod-1", 1), command: "create -f -", keep: created("Pod", "pod-1")},
	{file: "pod-create-3-containers", stdin: recordedPod("pod-3", 3), command: "create -f -", keep: created("Pod", "pod-3")},
	{file: "pod-create-10-containers", stdin: recordedPod("pod-10", 10), command: "create -f -", keep: created("Pod", "pod-10")},
	{file: "pod-create-60-containers", stdin: recordedPod("pod-60", 60), command: "create -f -", keep: created("Pod", "pod-60")},
	{file: "pod-update-1-container", before: []string{isPending("pod-1")}, command: "set image pod/pod-1 web=nginx:1.26", keep: updated("Pod", "pod-1")},
	{file: "pod-update-3-containers", before: []string{isPending("pod-3")}, command: "set image pod/pod-3 web=nginx:1.26", keep: updated("Pod", "pod-3")},
	{file: "pod-update-10-containers", before: []string{isPending("pod-10")}, command: "set image pod/pod-10 web=nginx:1.26", keep: updated("Pod", "pod-10")},
	{file: "pod-update-60-containers", before: []string{isPending("pod-60")}, command: "set image pod/pod-60 web=nginx:1.26", keep: updated("Pod", "pod-60")},
}

// `make record` records the reviews that the unit tests use, for example after an update of
// Kubernetes. Each file changes, at least in its UIDs and times.
var _ = Describe("recorder", Serial, Label("record", devCluster), func() {
	It("writes the golden reviews", func(ctx SpecContext) {
		pullFromMirror(ctx)
		createRecordingNamespace(ctx)
		recorder := startRecorder(ctx)
		for _, step := range steps {
			By(step.file)
			step.write(recorder.review(ctx, step))
		}
	}, SpecTimeout(10*time.Minute))
})

// pullFromMirror configures the nodes to pull images of docker.io from the mirror until the
// spec ends, unless they do. Then it removes these images from the nodes.
func pullFromMirror(ctx context.Context) {
	GinkgoHelper()
	cluster, m := openMirror(ctx)
	DeferCleanup(func(ctx SpecContext) {
		Expect(cluster.RunOnNodes(ctx, "sh", "-c", removeUnmirroredImages)).To(Succeed())
	})
	if !hasNodeMirrors(ctx) {
		DeferCleanup(func(ctx SpecContext) { Expect(cluster.RunOnNodes(ctx, "rm", "-rf", dockerHosts)).To(Succeed()) })
		Expect(m.RouteHost(ctx, "docker.io", mirror.Name)).To(Succeed())
	}
	_, err := sampleBuilder.Push(ctx, connectTo(ctx, mirror.Name), mirror.Sample{Name: "library/nginx:latest", Addr: ":80"})
	Expect(err).NotTo(HaveOccurred())
}

// createRecordingNamespace creates the recording namespace. Its name is fixed, so that the
// recorded files differ as little as possible. Its mode is off, so that our webhook does
// nothing in it.
func createRecordingNamespace(ctx context.Context) {
	GinkgoHelper()
	removeRecordingNamespace(ctx) // a killed run may have left it behind
	succeed(ctx, "create", "namespace", recordingNamespace)
	DeferCleanup(func(ctx SpecContext) { removeRecordingNamespace(ctx) })
	succeed(ctx, "label", "namespace", recordingNamespace, "image-webhook.dev/mode=off", recordingLabel+"=true")
	succeed(ctx, "wait", "--for=create", "serviceaccount/default", "-n", recordingNamespace, "--timeout=60s")
}

func removeRecordingNamespace(ctx context.Context) {
	GinkgoHelper()
	runInRecording(ctx, "", removeFinalizer) // of a run that ended between addFinalizer and removeFinalizer
	succeed(ctx, "delete", "namespace", recordingNamespace, "--ignore-not-found", "--now")
}

// runInRecording runs a kubectl command with an input, in the recording namespace by default.
func runInRecording(ctx context.Context, stdin, command string) result {
	GinkgoHelper()
	return kubectlWith(ctx, stdin, append([]string{"-n", recordingNamespace}, strings.Fields(command)...)...) // kubectl uses the last of two -n
}

// recorder keeps the reviews that the API server sends.
type recorder struct {
	mu      sync.Mutex
	reviews []recordedReview
}

type recordedReview struct {
	request *admissionv1.AdmissionRequest
	body    []byte
}

// startRecorder starts a recorder and waits until the API server sends it reviews. The name
// of its configuration sorts before ours, so that it gets images before our webhook changes
// them.
func startRecorder(ctx context.Context) *recorder {
	GinkgoHelper()
	r := &recorder{}
	startHostWebhook(ctx, r.allow).registerMutating(ctx, "a-recorder", recordedObjects(), recordedStaticPods())
	probeStep := step{command: "run probe --image=nginx:1.25 --dry-run=server", keep: created("Pod", "probe")}
	Eventually(func() []byte {
		runInRecording(ctx, probeStep.stdin, probeStep.command)
		return r.last(probeStep.keep)
	}).WithContext(ctx).ShouldNot(BeEmpty(), "the API server sends no review to the recorder")
	return r
}

// recordedObjects selects objects in namespaces with the recording label, and these
// namespaces.
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

// recordedStaticPods selects the mirror pods that the kubelet creates for its static pods.
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
	r.reviews = append(r.reviews, recordedReview{review.Request, body})
	return &admissionv1.AdmissionResponse{Allowed: true}
}

// review runs a step and returns its review. It does not assert the result of the command:
// our webhook may deny the object, but only after the recorder has got the review.
func (r *recorder) review(ctx context.Context, step step) (body []byte) {
	GinkgoHelper()
	for _, command := range step.before {
		Expect(runInRecording(ctx, "", command).Exit).To(BeZero(), "prepare %s: kubectl %s", step.file, command)
	}
	r.reset()
	got := runInRecording(ctx, step.stdin, step.command)
	Eventually(func() []byte {
		body = r.last(step.keep)
		return body
	}).WithContext(ctx).WithTimeout(reviewTimeout).ShouldNot(BeEmpty(), "no review for %s: kubectl %s: %+v", step.file, step.command, got)
	return body
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reviews = nil
}

func (r *recorder) last(keep reviewSelector) (body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, review := range r.reviews {
		if keep.matches(review.request) {
			body = review.body
		}
	}
	return body
}

func (s reviewSelector) matches(request *admissionv1.AdmissionRequest) bool {
	return request.Kind.Kind == s.kind && request.SubResource == s.subresource && request.Operation == s.operation &&
		(s.name == "" || request.Name == s.name)
}

// write writes a review to its file, unchanged except for indentation.
func (s step) write(body []byte) {
	GinkgoHelper()
	var indented bytes.Buffer
	Expect(json.Indent(&indented, body, "", "  ")).To(Succeed())
	content := append(bytes.TrimSpace(indented.Bytes()), '\n')
	Expect(os.MkdirAll(reviewsDir, 0o755)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(reviewsDir, s.file+".json"), content, 0o644)).To(Succeed())
}
