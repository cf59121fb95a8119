package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

const (
	// policyFiles is the folder of the files that people copy to their control plane.
	policyFiles = root + "/deploy/image-policy/"
	// nodeFolder and nodeAddress are what the files say, and the tests move.
	nodeFolder  = "/etc/kubernetes/image-webhook"
	nodeAddress = "127.0.0.1:9443"
)

// imagePolicy is an API server with the plugin ImagePolicyWebhook, by the files as
// they are, but for the folder, the address and how long answers are remembered.
type imagePolicy struct {
	*plane
	dir     string // in the place of nodeFolder
	addr    string // in the place of nodeAddress
	process *localinstall.Process
}

// startImagePolicy starts the API server, and no webhook yet. Pairs of words are
// replaced in admission-configuration.yaml.
func startImagePolicy(t *testing.T, replaced ...string) *imagePolicy {
	t.Helper()
	p := &imagePolicy{addr: freeAddress(t)}
	var err error
	p.plane, err = start(func(dir string) (map[string][]string, error) {
		p.dir = dir
		p.certificates(t)
		p.copyFile(t, "kubeconfig.yaml")
		p.copyFile(t, "admission-configuration.yaml", replaced...)
		return map[string][]string{
			"enable-admission-plugins":      {"ImagePolicyWebhook"},
			"admission-control-config-file": {filepath.Join(dir, "admission-configuration.yaml")},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stopServer(t) })
	return p
}

// Words of admission-configuration.yaml, and what to put there.
var (
	failClosed = []string{"defaultAllow: true", "defaultAllow: false"}
	forgetful  = []string{"allowTTL: 30", "allowTTL: -1", "denyTTL: 5", "denyTTL: -1"} // the tests change the answers
)

// freeAddress is an address on which nobody listens. The API server is told of it long
// before the webhook is started there, so it is none that the kernel gives to whoever
// asks for any port: those begin at 32768.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(20000+rand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// certificates writes what certificates.sh makes, where there is no openssl too.
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

// copyFile copies one of the files, with some words replaced.
func (p *imagePolicy) copyFile(t *testing.T, name string, replaced ...string) {
	t.Helper()
	write(t, filepath.Join(p.dir, name), []byte(p.adapted(t, name, replaced...)))
}

// adapted is the content of a file for this machine.
func (p *imagePolicy) adapted(t *testing.T, name string, replaced ...string) string {
	t.Helper()
	content, err := os.ReadFile(policyFiles + name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replaced); i += 2 {
		if !strings.Contains(string(content), replaced[i]) {
			t.Fatalf("%s does not say %q", name, replaced[i])
		}
	}
	return strings.NewReplacer(append(replaced, nodeFolder, p.dir, nodeAddress, p.addr)...).Replace(string(content))
}

// startServer runs the webhook as the static pod does, and exempts an image.
func (p *imagePolicy) startServer(t *testing.T) {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(p.adapted(t, "static-pod.yaml")), &pod); err != nil {
		t.Fatal(err)
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	args := append(pod.Spec.Containers[0].Args, "--exempt-images=quay.io/team/nightly")
	p.process, err = localinstall.StartProcess(t.Context(), path, args, t.Output())
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

// refusal of the plugin, from the webhook.
const (
	byPlugin    = "image policy webhook backend denied one or more images: "
	latestFault = `image "nginx:latest", whose tag "latest" is not allowed because it can change under you: name a fixed tag such as nginx:1.2.3 or pin a digest (nginx@sha256:...)`
)

// mustForbid checks that a request was refused in these words.
func mustForbid(t *testing.T, err error, words string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want it forbidden with %q", err, words)
	}
}

func mustAdmit(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("not admitted: %v", err)
	}
}

// labelPod changes nothing of a pod but a label.
func (p *plane) labelPod(ctx context.Context, namespace, name string) error {
	_, err := p.client.CoreV1().Pods(namespace).Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"tier":"front"}}}`), metav1.PatchOptions{})
	return err
}

// debug adds an ephemeral container to a pod.
func (p *plane) debug(t *testing.T, namespace, name, container string) (*corev1.Pod, error) {
	t.Helper()
	return p.client.CoreV1().Pods(namespace).Patch(t.Context(), name, types.JSONPatchType,
		[]byte(`[{"op":"add","path":"/spec/ephemeralContainers","value":[`+container+`]}]`), metav1.PatchOptions{}, "ephemeralcontainers")
}

func TestImagePolicy(t *testing.T) {
	t.Parallel()
	p := startImagePolicy(t, forgetful...)
	namespace := p.namespace(t, nil)

	// Without a webhook pods come in.
	_, err := p.create(t, newPod(namespace, "older", "nginx:latest"))
	mustAdmit(t, err)

	p.startServer(t)
	_, err = p.create(t, newPod(namespace, "latest", "nginx:latest"))
	mustForbid(t, err, `pods "latest" is forbidden: `+byPlugin+latestFault)
	_, err = p.create(t, newPod(namespace, "web", "quay.io/team/app:1.2"))
	mustAdmit(t, err)

	initial := newPod(namespace, "initial", "quay.io/team/app:1.2")
	initial.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "nginx:latest"}}
	_, err = p.create(t, initial)
	mustForbid(t, err, byPlugin+latestFault)

	_, err = p.debug(t, namespace, "web", `{"name":"debug","image":"nginx:latest"}`)
	mustForbid(t, err, byPlugin+latestFault)

	_, err = p.create(t, newPod(namespace, "exempt", "quay.io/team/nightly:latest"))
	mustAdmit(t, err)

	// The namespaces that a cluster needs to start are spared.
	_, err = p.create(t, newPod("kube-system", "needed", "nginx:latest"))
	mustAdmit(t, err)

	// What README.md warns about: the plugin does not say what is new.
	mustForbid(t, p.labelPod(t.Context(), namespace, "older"), byPlugin)
	mustAdmit(t, p.labelPod(t.Context(), namespace, "web"))
	mustAdmit(t, p.client.CoreV1().Pods(namespace).Delete(t.Context(), "older", metav1.DeleteOptions{}))

	// And it does not send image volumes.
	volume := newPod(namespace, "volume", "quay.io/team/app:1.2")
	volume.Spec.Volumes = []corev1.Volume{{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "nginx:latest"}}}}
	_, err = p.create(t, volume)
	mustAdmit(t, err)
}

// With defaultAllow: false nothing comes in without a webhook, and with one again.
func TestImagePolicyFailsClosed(t *testing.T) {
	t.Parallel()
	p := startImagePolicy(t, slices.Concat(failClosed, forgetful)...)
	_, err := p.try(t, newPod("kube-system", "web", "quay.io/team/app:1.2"))
	mustForbid(t, err, "connection refused")
	p.startServer(t)
	_, err = p.try(t, newPod("kube-system", "web", "quay.io/team/app:1.2"))
	mustAdmit(t, err)
	p.mustNotAnswerStrangers(t)
	p.stopServer(t)
	_, err = p.try(t, newPod("kube-system", "web", "quay.io/team/app:1.2"))
	mustForbid(t, err, "connection refused")
}

// mustNotAnswerStrangers checks that only the API server is answered: it has the
// certificate.
func (p *imagePolicy) mustNotAnswerStrangers(t *testing.T) {
	t.Helper()
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(p.dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("the CA is none", err)
	}
	stranger := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer stranger.CloseIdleConnections()
	for path, want := range map[string]int{"/image-policy": 401, "/validating": 401, "/mutating": 401, "/readyz": 200} {
		response, err := stranger.Get("https://" + p.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("a stranger at %s: %s, want %d", path, response.Status, want)
		}
	}
}

// The plugin and the webhooks together, and --image-pull-policy=Always: the plugin
// sees the mirrored image, names the one that was written, and knows no modes.
func TestImagePolicyBesideTheWebhooks(t *testing.T) {
	t.Parallel()
	p := startImagePolicy(t)
	if err := p.install("--image-pull-policy=Always"); err != nil {
		t.Fatal(err)
	}
	p.startServer(t)
	namespace := p.namespace(t, nil)
	_, err := p.create(t, newPod(namespace, "latest", "nginx:latest"))
	mustForbid(t, err, byPlugin+strings.Replace(latestFault, ",", ` (mirrored to "docker.mirror.example/library/nginx:latest"),`, 1))
	_, err = p.create(t, newPod(p.namespace(t, map[string]string{"image-webhook.dev/mode": "off"}), "latest", "nginx:latest"))
	mustForbid(t, err, byPlugin+latestFault)

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
	if always := corev1.PullAlways; !slices.Equal(policies, []corev1.PullPolicy{always, always, always}) || stored.Spec.Containers[0].Image != mirrored {
		t.Errorf("image %s, pull policies %v", stored.Spec.Containers[0].Image, policies)
	}
	// On CREATE only.
	debugged, err := p.debug(t, namespace, "web", `{"name":"debug","image":"nginx:1.25","imagePullPolicy":"IfNotPresent"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := debugged.Spec.EphemeralContainers[0]; got.Image != mirrored || got.ImagePullPolicy != corev1.PullIfNotPresent {
		t.Errorf("the ephemeral container has %s, %s", got.Image, got.ImagePullPolicy)
	}
}
