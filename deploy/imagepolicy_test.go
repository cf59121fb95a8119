package deploy_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// The tests of the other files in image-policy/ need an API server and are in e2e/integration.

func TestPluginCertificatesAreValidOnlyForTheirUse(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not on the PATH")
	}
	dir := filepath.Join(t.TempDir(), "image-webhook")
	run := func() (ca []byte) {
		output, err := exec.CommandContext(t.Context(), "image-policy/certificates.sh", dir).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		if ca, err = os.ReadFile(filepath.Join(dir, "ca.crt")); err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ca := run()
	if diff := cmp.Diff(string(ca), string(run())); diff != "" {
		t.Errorf("a renewal changes the CA, which the other side still trusts:\n%s", diff)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("ca.crt is not a certificate")
	}
	for _, tt := range []struct {
		name       string
		usage      x509.ExtKeyUsage
		host       string
		otherUsage x509.ExtKeyUsage
	}{
		{"server", x509.ExtKeyUsageServerAuth, "127.0.0.1", x509.ExtKeyUsageClientAuth},
		{"client", x509.ExtKeyUsageClientAuth, "", x509.ExtKeyUsageServerAuth},
	} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, tt.name+".crt"), filepath.Join(dir, tt.name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		options := x509.VerifyOptions{Roots: roots, DNSName: tt.host, KeyUsages: []x509.ExtKeyUsage{tt.usage}}
		if _, err := pair.Leaf.Verify(options); err != nil {
			t.Errorf("certificate %s: %v", tt.name, err)
		}
		options.KeyUsages = []x509.ExtKeyUsage{tt.otherUsage}
		if _, err := pair.Leaf.Verify(options); err == nil {
			t.Errorf("certificate %s is also valid for the other side", tt.name)
		}
		if info, err := os.Stat(filepath.Join(dir, tt.name+".key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s.key has mode %v, error %v", tt.name, info.Mode(), err)
		}
	}
}

func TestStaticPodMatchesTheOtherFiles(t *testing.T) {
	// With defaultAllow, users would not notice a mismatch.
	const file = "image-policy/static-pod.yaml"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pod := decode(t, file, content).typed.(*corev1.Pod)
	container, flags := pod.Spec.Containers[0], map[string]string{}
	for _, arg := range container.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		flags[name] = value
	}
	deployed := webhookContainer(t, load(t))
	const dir = "/etc/kubernetes/image-webhook"
	host, port, err := net.SplitHostPort(flags["--server-addr"])
	if err != nil {
		t.Fatal(err)
	}
	probe := container.LivenessProbe.HTTPGet
	type settings struct {
		HostNetwork                             bool
		Class                                   string
		Command, Image, Host, Port, Node, Mount string
	}
	want := settings{true, "system-node-critical 2000001000", fmt.Sprint(deployed.Command), deployed.Image, host, port, dir, dir}
	got := settings{
		pod.Spec.HostNetwork, fmt.Sprint(pod.Spec.PriorityClassName, " ", *pod.Spec.Priority), fmt.Sprint(container.Command), container.Image,
		probe.Host, probe.Port.String(), pod.Spec.Volumes[0].HostPath.Path, container.VolumeMounts[0].MountPath,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("static pod (-want +got):\n%s", diff)
	}
	for _, flag := range []string{"--tls-cert", "--tls-key", "--client-ca-file", "--config"} {
		if filepath.Dir(flags[flag]) != dir {
			t.Errorf("flag %s is %s, want a file in %s", flag, flags[flag], dir)
		}
	}
	if got := flags["--metrics-addr"]; got != "0" {
		t.Errorf("flag --metrics-addr is %q, want 0: a port of the node that is in use would stop the webhook", got)
	}
	kubeconfig, err := os.ReadFile("image-policy/kubeconfig.yaml")
	if err != nil || !strings.Contains(string(kubeconfig), "server: https://"+flags["--server-addr"]+"/image-policy\n") {
		t.Errorf("the server of kubeconfig.yaml is not %s: error %v", flags["--server-addr"], err)
	}
}

func TestPluginExcludesTheNamespacesOfTheWebhookConfigurations(t *testing.T) {
	policy := image.Policy{}
	var err error
	if policy.Disallowed, err = image.ParseTags("latest"); err != nil {
		t.Fatal(err)
	}
	handler := admission.Handlers(admission.Reporting{Log: slog.New(slog.DiscardHandler)}, admission.Fixed(admission.Rules{Policy: policy}))["/image-policy"]
	allowed := func(namespace string) bool {
		body := `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","spec":{"containers":[{"image":"nginx:latest"}],"namespace":"` + namespace + `"}}`
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/image-policy", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return strings.Contains(answer.Body.String(), `"allowed":true`)
	}
	for _, namespace := range excludedNamespaces {
		if !allowed(namespace) {
			t.Errorf("images in namespace %s are checked", namespace)
		}
	}
	if allowed("default") {
		t.Error("images in namespace default are not checked")
	}
}
