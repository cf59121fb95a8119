package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/tools/controlplane/imageplugin"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

const (
	// policyFilesDir contains the files that users copy to their control plane.
	policyFilesDir = root + "/deploy/image-policy/"
	// nodeDir and nodeAddress are texts in the files that the tests replace.
	nodeDir     = "/etc/kubernetes/image-webhook"
	nodeAddress = "127.0.0.1:9443"
)

// imagePolicy is an API server with the plugin ImagePolicyWebhook. It uses the files in
// policyFilesDir with another directory, another address and other cache durations.
type imagePolicy struct {
	*testServer
	dir     string // replaces nodeDir
	addr    string // replaces nodeAddress
	process *localinstall.Process
}

// startImagePolicy starts the API server without a webhook. replacements are pairs of old
// and new text in admission-configuration.yaml.
func startImagePolicy(t *testing.T, replacements ...string) *imagePolicy {
	t.Helper()
	p := &imagePolicy{addr: freeAddress(t)}
	var err error
	p.testServer, err = startServer(func(dir string) (map[string][]string, error) {
		p.dir = dir
		p.certificates(t)
		p.copyFile(t, "kubeconfig.yaml")
		p.copyFile(t, "admission-configuration.yaml", replacements...)
		return map[string][]string{
			"enable-admission-plugins":      {"ImagePolicyWebhook"},
			"admission-control-config-file": {filepath.Join(dir, "admission-configuration.yaml")},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	t.Cleanup(func() { p.stopServer(t) })
	return p
}

// failClosed and cacheDisabled are replacements in admission-configuration.yaml.
var (
	failClosed    = []string{"defaultAllow: true", "defaultAllow: false"}
	cacheDisabled = []string{"allowTTL: 30", "allowTTL: -1", "denyTTL: 5", "denyTTL: -1"} // so that each request gets a new answer
)

// freeAddress returns an address on which no process listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := imageplugin.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// certificates writes the files that certificates.sh creates, without openssl.
func (p *imagePolicy) certificates(t *testing.T) {
	t.Helper()
	ca := servertest.NewCA(t, p.dir)
	if err := os.Rename(ca.File, filepath.Join(p.dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	ca.Write(t, p.dir, "server", x509.ExtKeyUsageServerAuth)
	ca.Write(t, p.dir, "client", x509.ExtKeyUsageClientAuth)
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyFile copies a file with replacements.
func (p *imagePolicy) copyFile(t *testing.T, name string, replacements ...string) {
	t.Helper()
	write(t, filepath.Join(p.dir, name), []byte(p.adaptedFile(t, name, replacements...)))
}

// adaptedFile returns the content of a file with replacements, and with the directory and
// the address of this server.
func (p *imagePolicy) adaptedFile(t *testing.T, name string, replacements ...string) string {
	t.Helper()
	content, err := os.ReadFile(policyFilesDir + name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(string(content), replacements[i]) {
			t.Fatalf("%s does not contain %q", name, replacements[i])
		}
	}
	return strings.NewReplacer(append(replacements, nodeDir, p.dir, nodeAddress, p.addr)...).Replace(string(content))
}

// pluginPolicy is the policy file of the static pod.
const pluginPolicy = `apiVersion: image-webhook.dev/v1alpha1
kind: ImagePolicy
mirrors:
  - {source: docker.io, mirror: docker.mirror.example}
  - {source: registry.k8s.io, mirror: k8s.mirror.example}
exemptImages: [quay.io/team/nightly]
allowedRegistries: [docker.io, quay.io/team, docker.mirror.example, k8s.mirror.example]
deniedImages: [{image: quay.io/team/old, reason: CVE-2026-0001}]
`

// startServer runs the webhook with pluginPolicy.
func (p *imagePolicy) startServer(t *testing.T) {
	t.Helper()
	p.startServerWith(t, pluginPolicy)
}

// startServerWith runs the webhook with the arguments of the static pod and with a policy file.
func (p *imagePolicy) startServerWith(t *testing.T, policy string) {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(p.adaptedFile(t, "static-pod.yaml")), &pod); err != nil {
		t.Fatal(err)
	}
	path, err := webhookProgram()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, "policy.yaml"), []byte(policy))
	p.process, err = localinstall.StartProcess(t.Context(), path, pod.Spec.Containers[0].Args, t.Output())
	if err != nil {
		t.Fatal(err)
	}
}

func (p *imagePolicy) stopServer(t *testing.T) {
	t.Helper()
	if p.process != nil {
		if err := p.process.Stop(); err != nil {
			t.Error(err)
		}
	}
	p.process = nil
}

// pluginDenial and latestDenial are parts of a denial.
const (
	pluginDenial = "image policy webhook backend denied one or more images: "
	latestDenial = `image "nginx:latest": tag "latest" is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)`
)

// mustForbid checks that a request was forbidden with a message.
func mustForbid(t *testing.T, err error, message string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), message) {
		t.Errorf("got error %v, want forbidden with %q", err, message)
	}
}

func mustAdmit(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("got error %v, want the request to be admitted", err)
	}
}

// labelPod changes only a label of a pod.
func (s *testServer) labelPod(ctx context.Context, namespace, name string) error {
	_, err := s.client.CoreV1().Pods(namespace).Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"tier":"front"}}}`), metav1.PatchOptions{})
	return err
}

// debug adds an ephemeral container to a pod.
func (s *testServer) debug(t *testing.T, namespace, name, container string) (*corev1.Pod, error) {
	t.Helper()
	return s.client.CoreV1().Pods(namespace).Patch(t.Context(), name, types.JSONPatchType,
		[]byte(`[{"op":"add","path":"/spec/ephemeralContainers","value":[`+container+`]}]`), metav1.PatchOptions{}, "ephemeralcontainers")
}

func TestImagePolicyDeniesDisallowedImages(t *testing.T) {
	t.Parallel()
	p := startImagePolicy(t, cacheDisabled...)
	namespace := p.namespace(t, nil)

	// defaultAllow: true admits pods while no webhook answers.
	_, err := p.create(t, newPod(namespace, "existing", "nginx:latest"))
	mustAdmit(t, err)

	p.startServer(t)
	_, err = p.create(t, newPod(namespace, "latest", "nginx:latest"))
	mustForbid(t, err, `pods "latest" is forbidden: `+pluginDenial+latestDenial)
	_, err = p.create(t, newPod(namespace, "web", "quay.io/team/app:1.2"))
	mustAdmit(t, err)

	initial := newPod(namespace, "initial", "quay.io/team/app:1.2")
	initial.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "nginx:latest"}}
	_, err = p.create(t, initial)
	mustForbid(t, err, pluginDenial+latestDenial)

	_, err = p.debug(t, namespace, "web", `{"name":"debug","image":"nginx:latest"}`)
	mustForbid(t, err, pluginDenial+latestDenial)

	_, err = p.create(t, newPod(namespace, "exempt", "quay.io/team/nightly:latest"))
	mustAdmit(t, err)

	_, err = p.create(t, newPod(namespace, "denied", "quay.io/team/old/app:1.2"))
	mustForbid(t, err, pluginDenial+`image "quay.io/team/old/app:1.2": it is denied (CVE-2026-0001): use another image`)
	_, err = p.create(t, newPod(namespace, "foreign", "gcr.io/team/app:1.2"))
	mustForbid(t, err, pluginDenial+`image "gcr.io/team/app:1.2": its registry is not allowed: use an image of docker.io, `)

	// The namespaces that a cluster needs to start are exempt.
	_, err = p.create(t, newPod("kube-system", "needed", "nginx:latest"))
	mustAdmit(t, err)

	// Unlike the webhooks, the plugin checks all images of an update, because it does not know
	// which ones are new.
	mustForbid(t, p.labelPod(t.Context(), namespace, "existing"), pluginDenial)
	mustAdmit(t, p.labelPod(t.Context(), namespace, "web"))
	mustAdmit(t, p.client.CoreV1().Pods(namespace).Delete(t.Context(), "existing", metav1.DeleteOptions{}))

	// The plugin does not send image volumes.
	volume := newPod(namespace, "volume", "quay.io/team/app:1.2")
	volume.Spec.Volumes = []corev1.Volume{{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "nginx:latest"}}}}
	_, err = p.create(t, volume)
	mustAdmit(t, err)
}

func TestImagePolicyWithoutDefaultAllowFailsClosed(t *testing.T) {
	t.Parallel()
	p := startImagePolicy(t, slices.Concat(failClosed, cacheDisabled)...)
	_, err := p.dryRun(t, newPod("kube-system", "web", "quay.io/team/app:1.2"))
	mustForbid(t, err, "connection refused")
	p.startServer(t)
	_, err = p.dryRun(t, newPod("kube-system", "web", "quay.io/team/app:1.2"))
	mustAdmit(t, err)
	p.mustRequireClientCertificate(t)
	p.stopServer(t)
	_, err = p.dryRun(t, newPod("kube-system", "web", "quay.io/team/app:1.2"))
	mustForbid(t, err, "connection refused")
}

// mustRequireClientCertificate checks that the webhook answers reviews only to a client
// with a certificate, such as the API server.
func (p *imagePolicy) mustRequireClientCertificate(t *testing.T) {
	t.Helper()
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(p.dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("invalid CA certificate ca.crt: %v", err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{"/image-policy": 401, "/validating": 401, "/mutating": 401, "/readyz": 200} {
		response, err := client.Get("https://" + p.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s without a client certificate: got status %s, want %d", path, response.Status, want)
		}
	}
}

func TestImagePolicyWorksWithWebhooks(t *testing.T) {
	// The plugin gets the mirrored image, and ignores modes.
	t.Parallel()
	p := startImagePolicy(t)
	p.startServer(t) // certgen must get the verdict of the webhook, not that of the plugin
	if err := p.install("--image-pull-policy=Always"); err != nil {
		t.Fatal(err)
	}
	namespace := p.namespace(t, nil)
	_, err := p.create(t, newPod(namespace, "latest", "nginx:latest"))
	mustForbid(t, err, pluginDenial+strings.Replace(latestDenial, `"nginx:latest":`, `"nginx:latest" (mirrored to "docker.mirror.example/library/nginx:latest"):`, 1))
	_, err = p.create(t, newPod(p.namespace(t, map[string]string{"image-webhook.dev/mode": "off"}), "latest", "nginx:latest"))
	mustForbid(t, err, pluginDenial+latestDenial)

	pod := newPod(namespace, "web", "nginx:1.25")
	pod.Spec.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
	pod.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "quay.io/team/app:1.2", ImagePullPolicy: corev1.PullNever}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "nginx:1.25"}}}}
	stored, err := p.create(t, pod)
	if err != nil {
		t.Fatal(err)
	}
	policies := []corev1.PullPolicy{
		stored.Spec.Containers[0].ImagePullPolicy, stored.Spec.InitContainers[0].ImagePullPolicy, stored.Spec.Volumes[0].Image.PullPolicy,
	}
	if always := corev1.PullAlways; !slices.Equal(policies, []corev1.PullPolicy{always, always, always}) || stored.Spec.Containers[0].Image != mirroredImage {
		t.Errorf("got image %q and pull policies %v, want %q and Always", stored.Spec.Containers[0].Image, policies, mirroredImage)
	}
	// The pull policy is set on CREATE only.
	debugged, err := p.debug(t, namespace, "web", `{"name":"debug","image":"nginx:1.25","imagePullPolicy":"IfNotPresent"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := debugged.Spec.EphemeralContainers[0]; got.Image != mirroredImage || got.ImagePullPolicy != corev1.PullIfNotPresent {
		t.Errorf("the ephemeral container has image %q and pull policy %s, want %q and IfNotPresent", got.Image, got.ImagePullPolicy, mirroredImage)
	}
}
