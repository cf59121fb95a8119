package mirror

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/tools/progress"
)

func TestHostsFileKeepsTheOrderOfRegistries(t *testing.T) {
	tests := []struct {
		name string
		urls []string
		want string
	}{
		{"only the mirror", []string{"http://10.96.0.9:5000"}, "server = \"http://10.96.0.9:5000\"\n"},
		{
			"the mirror and a cache", []string{"http://10.96.0.9:5000", "http://10.96.0.10:5000"},
			"server = \"http://10.96.0.10:5000\"\n\n[host.\"http://10.96.0.9:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, hostsFile(test.urls)); diff != "" {
				t.Errorf("hosts.toml differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestManifestConfiguresEachKindOfRegistry(t *testing.T) {
	tests := []struct {
		name     string
		registry Registry
		env      map[string]string // only variables of the registry
		volumes  []string
	}{
		{"mirror", Registry{Name: "mirror"}, map[string]string{}, []string{"config", "storage"}},
		{
			"cache", Registry{Name: "cache", Upstream: "https://registry.example"},
			map[string]string{"REGISTRY_PROXY_REMOTEURL": "https://registry.example"}, []string{"config", "storage"},
		},
		{
			"private registry", Registry{Name: "private", Htpasswd: "user:$2b$05$x\n"},
			map[string]string{"REGISTRY_AUTH_HTPASSWD_REALM": "private", "REGISTRY_AUTH_HTPASSWD_PATH": "/etc/htpasswd/htpasswd"},
			[]string{"config", "storage", "htpasswd"},
		},
		{
			"registry with TLS", Registry{Name: "secure", TLS: "certificate"},
			map[string]string{"REGISTRY_HTTP_TLS_CERTIFICATE": "/etc/tls/tls.crt", "REGISTRY_HTTP_TLS_KEY": "/etc/tls/tls.key"},
			[]string{"config", "storage", "tls"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			manifest, err := test.registry.manifest("image-webhook.dev/registry:0123")
			if err != nil {
				t.Fatal(err)
			}
			objects := decode(t, manifest)
			env, volumes := map[string]string{}, []string{}
			for _, e := range objects.deployment.Spec.Template.Spec.Containers[0].Env {
				if strings.HasPrefix(e.Name, "REGISTRY_") {
					env[e.Name] = e.Value
				}
			}
			for _, v := range objects.deployment.Spec.Template.Spec.Volumes {
				volumes = append(volumes, v.Name)
			}
			if diff := cmp.Diff(test.env, env); diff != "" {
				t.Errorf("the environment differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.volumes, volumes); diff != "" {
				t.Errorf("the volumes differ (-want +got):\n%s", diff)
			}
			if got := objects.secret.StringData["htpasswd"]; got != test.registry.Htpasswd {
				t.Errorf("the Secret contains %q, want %q", got, test.registry.Htpasswd)
			}
			if got := objects.deployment.Spec.Template.Spec.Containers[0].Image; got != "image-webhook.dev/registry:0123" {
				t.Errorf("the image is %s, want image-webhook.dev/registry:0123", got)
			}
			if objects.namespace.Labels["image-webhook.dev/mode"] != "off" {
				t.Errorf("the labels of the Namespace are %v, want the mode off", objects.namespace.Labels)
			}
		})
	}
}

// objects are the objects in a manifest.
type objects struct {
	namespace  corev1.Namespace
	config     corev1.ConfigMap
	deployment appsv1.Deployment
	service    corev1.Service
	secret     corev1.Secret
}

func decode(t *testing.T, manifest string) (decoded objects) {
	t.Helper()
	targets := map[string]any{
		"Namespace": &decoded.namespace, "ConfigMap": &decoded.config, "Deployment": &decoded.deployment,
		"Service": &decoded.service, "Secret": &decoded.secret,
	}
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		target := targets[kind.Kind]
		if target == nil {
			t.Fatalf("unexpected kind %q in\n%s", kind.Kind, document)
		}
		if err := yaml.UnmarshalStrict([]byte(document), target); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
	}
	return decoded
}

func TestSamplesHaveStableAndDifferentDigests(t *testing.T) {
	digests := map[string]string{}
	for range 2 {
		builder, err := NewSampleBuilder(t.Context(), progress.New(t.Output()))
		if err != nil {
			t.Fatal(err)
		}
		defer builder.Close()
		for _, sample := range Samples {
			image, err := builder.build(sample)
			if err != nil {
				t.Fatal(err)
			}
			digest, err := image.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if other, exists := digests[digest.String()]; exists && other != sample.Name {
				t.Errorf("%s and %s have the same digest", other, sample.Name)
			}
			digests[digest.String()] = sample.Name
		}
	}
	if len(digests) != len(Samples) {
		t.Errorf("%d samples have %d digests in two builds", len(Samples), len(digests))
	}
}
