package monitoring

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
)

// objects are the objects that the tests check.
type objects struct {
	namespace  corev1.Namespace
	config     corev1.ConfigMap
	deployment appsv1.Deployment
	service    corev1.Service
}

// decode returns the objects of a manifest. Each object must have only known fields.
func decode(t *testing.T, manifest string) (decoded objects) {
	t.Helper()
	targets := map[string]any{
		"Namespace": &decoded.namespace, "ConfigMap": &decoded.config, "Deployment": &decoded.deployment, "Service": &decoded.service,
		"ServiceAccount": &corev1.ServiceAccount{}, "ClusterRole": &rbacv1.ClusterRole{}, "ClusterRoleBinding": &rbacv1.ClusterRoleBinding{},
	}
	documents, err := deploy.Documents(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		target := targets[kind.Kind]
		if target == nil {
			t.Fatalf("unexpected kind %q in\n%s", kind.Kind, document)
		}
		if err := yaml.UnmarshalStrict(document, target); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
	}
	return decoded
}

func TestManifestContainsConfigurationAndRules(t *testing.T) {
	manifest, err := renderManifest("image-webhook.dev/prometheus:0123")
	if err != nil {
		t.Fatal(err)
	}
	decoded := decode(t, manifest)
	want := map[string]string{"prometheus.yaml": config, "rules.yaml": deploy.AlertingRules()}
	if diff := cmp.Diff(want, decoded.config.Data); diff != "" {
		t.Errorf("the ConfigMap differs (-want +got):\n%s", diff)
	}
	if got := decoded.deployment.Spec.Template.Spec.Containers[0].Image; got != "image-webhook.dev/prometheus:0123" {
		t.Errorf("the image is %s, want image-webhook.dev/prometheus:0123", got)
	}
	if decoded.namespace.Name != Namespace || decoded.namespace.Labels["image-webhook.dev/mode"] != "off" {
		t.Errorf("the Namespace is %s with labels %v, want %s with the mode off", decoded.namespace.Name, decoded.namespace.Labels, Namespace)
	}
	for _, name := range []string{decoded.deployment.Name, decoded.deployment.Labels["app.kubernetes.io/instance"], decoded.service.Name} {
		if name != Name {
			t.Errorf("got the name %s, want %s", name, Name)
		}
	}
}

// scrapeConfig is what Prometheus is configured to scrape.
type scrapeConfig struct {
	Jobs []struct {
		Name      string `json:"job_name"`
		Discovery []struct {
			Selectors []struct{ Label string }
		} `json:"kubernetes_sd_configs"`
		Relabelings []struct{ Regex string } `json:"relabel_configs"`
	} `json:"scrape_configs"`
}

func TestWebhookIsScraped(t *testing.T) {
	var parsed scrapeConfig
	if err := yaml.Unmarshal([]byte(config), &parsed); err != nil {
		t.Fatal(err)
	}
	job := parsed.Jobs[0]
	if job.Name != "image-webhook" {
		t.Fatalf("the first job is %s, want image-webhook", job.Name)
	}
	template := webhookTemplate(t)
	selector, err := labels.Parse(job.Discovery[0].Selectors[0].Label)
	if err != nil || !selector.Matches(labels.Set(template.Labels)) {
		t.Errorf("the job does not select pods with the labels %v: %v", template.Labels, err)
	}
	var ports []string
	for _, port := range template.Spec.Containers[0].Ports {
		ports = append(ports, port.Name)
	}
	if want := job.Relabelings[0].Regex; !slices.Contains(ports, want) {
		t.Errorf("the webhook has the ports %v, want one named %s", ports, want)
	}
}

// webhookTemplate returns the pods of the webhook's Deployment.
func webhookTemplate(t *testing.T) corev1.PodTemplateSpec {
	t.Helper()
	for _, file := range deploy.Files() {
		documents, err := deploy.Documents(file.Content)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents {
			var deployment appsv1.Deployment
			if err := yaml.Unmarshal(document, &deployment); err == nil && deployment.Kind == "Deployment" {
				return deployment.Spec.Template
			}
		}
	}
	t.Fatal("deploy has no Deployment")
	return corev1.PodTemplateSpec{}
}
