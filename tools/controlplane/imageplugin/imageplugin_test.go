package imageplugin

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const root = "../../.."

func newPlugin(t *testing.T) *Plugin {
	t.Helper()
	p, err := New(root, filepath.Join(t.TempDir(), "image-policy"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestFilesNameOnlyThisMachine(t *testing.T) {
	p := newPlugin(t)
	configuration, err := p.AddTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := string(configuration) + string(read(t, filepath.Join(p.directory, "kubeconfig.yaml"))) + strings.Join(p.args, "\n")
	for _, unwanted := range []string{nodeDirectory, nodeAddress} {
		if strings.Contains(all, unwanted) {
			t.Errorf("the files contain %q:\n%s", unwanted, all)
		}
	}
	for _, want := range []string{
		"kubeConfigFile: " + p.directory + "/kubeconfig.yaml",
		"server: https://" + p.address + "/image-policy",
		"--server-addr=" + p.address,
		"--client-ca-file=" + p.directory + "/ca.crt",
		"--config=" + p.directory + "/policy.yaml",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the files do not contain %q:\n%s", want, all)
		}
	}
}

func TestAddToKeepsOtherPlugins(t *testing.T) {
	const configuration = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: Other
  configuration: {kind: OtherConfiguration}
`
	p := newPlugin(t)
	content, err := p.AddTo([]byte(configuration))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.UnmarshalStrict(content, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
		"plugins": []any{
			map[string]any{"name": "Other", "configuration": map[string]any{"kind": "OtherConfiguration"}},
			map[string]any{"name": Name, "configuration": map[string]any{"imagePolicy": map[string]any{
				"kubeConfigFile": p.directory + "/kubeconfig.yaml", "allowTTL": 1800.0, "denyTTL": 5.0, "retryBackoff": 100.0, "defaultAllow": true,
			}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("AdmissionConfiguration (-want +got):\n%s", diff)
	}
	if _, err := p.AddTo([]byte("plugin: []\n")); err == nil {
		t.Error("an invalid AdmissionConfiguration is accepted")
	}
}

func TestCertificatesAreOnlyForTheirSide(t *testing.T) {
	p := newPlugin(t)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(t, filepath.Join(p.directory, "ca.crt"))) {
		t.Fatal("ca.crt has no certificate")
	}
	for name, host := range map[string]string{"server": "127.0.0.1", "client": ""} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(p.directory, name+".crt"), filepath.Join(p.directory, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		for use, valid := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageServerAuth: name == "server", x509.ExtKeyUsageClientAuth: name == "client"} {
			_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{use}})
			if (err == nil) != valid {
				t.Errorf("%s.crt for the use %v: %v, want valid: %t", name, use, err, valid)
			}
		}
	}
}

func TestNewNamesMissingFile(t *testing.T) {
	if _, err := New(t.TempDir(), t.TempDir()); err == nil || !strings.HasPrefix(err.Error(), "write the files of the plugin ImagePolicyWebhook: open ") {
		t.Errorf("got the error %v", err)
	}
}

func TestStopWithoutAWebhookDoesNothing(t *testing.T) {
	for _, p := range []*Plugin{nil, {}} {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
}
