package deploy_test

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
)

// The modules tools/checks/monitoring and tools/checks/promtool test the rules and the dashboard.

var update = flag.Bool("update", false, "write monitoring/prometheusrule.yaml")

const (
	rulesFile = "monitoring/rules.yaml"
	// ruleObject is the beginning of prometheusrule.yaml. The groups follow.
	ruleObject = `# The rules of rules.yaml for the Prometheus Operator, written by ` + "`go test ./deploy -update`" + `.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: webhook
  namespace: image-webhook
  labels:
    app.kubernetes.io/name: image-webhook
    app.kubernetes.io/component: webhook
spec:
`
)

func TestPrometheusRuleHasTheRules(t *testing.T) {
	const file = "monitoring/prometheusrule.yaml"
	_, groups, found := strings.Cut(readFile(t, rulesFile), "\ngroups:\n")
	if !found {
		t.Fatalf("%s has no groups", rulesFile)
	}
	want := ruleObject + indent("groups:\n"+groups)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, readFile(t, file)); diff != "" {
		t.Errorf("run `go test ./deploy -update` (-rules +%s):\n%s", file, diff)
	}
}

// indent returns a text with two spaces before every line that is not empty.
func indent(text string) string {
	var indented strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			indented.WriteString("  ")
		}
		indented.WriteString(line)
	}
	return indented.String()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// podMonitor has the fields of a PodMonitor that the test compares with the Deployment.
type podMonitor struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port string `json:"port"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

func TestPodMonitorScrapesTheReplicas(t *testing.T) {
	var monitor podMonitor
	if err := yaml.Unmarshal([]byte(readFile(t, "monitoring/podmonitor.yaml")), &monitor); err != nil {
		t.Fatal(err)
	}
	deployment := objectOfType[*appsv1.Deployment](t, load(t))
	if monitor.Metadata.Namespace != deployment.Namespace {
		t.Errorf("namespace %q, want %q", monitor.Metadata.Namespace, deployment.Namespace)
	}
	if diff := cmp.Diff(*deployment.Spec.Selector, monitor.Spec.Selector); diff != "" {
		t.Errorf("selector (-Deployment +PodMonitor):\n%s", diff)
	}
	if port := portOf(t, "metrics"); len(monitor.Spec.Endpoints) != 1 || monitor.Spec.Endpoints[0].Port != port.Name {
		t.Errorf("endpoints %+v, want the port %s", monitor.Spec.Endpoints, port.Name)
	}
}

// portOf returns a port of the webhook's container.
func portOf(t *testing.T, name string) corev1.ContainerPort {
	t.Helper()
	ports := webhookContainer(t, load(t)).Ports
	i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("the container has no port %s", name)
	}
	return ports[i]
}

func TestMonitoringNetworkPolicyLocksNoCallerOut(t *testing.T) {
	file := deploy.File{Name: "networkpolicy.yaml", Content: readFile(t, "monitoring/networkpolicy.yaml")}
	policy := objectOfType[*networkingv1.NetworkPolicy](t, loadFile(t, file))
	deployment := objectOfType[*appsv1.Deployment](t, load(t))
	want := networkingv1.NetworkPolicySpec{
		PodSelector: *deployment.Spec.Selector,
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{
			{Ports: tcp(portOf(t, "https"))}, // from everywhere
			{Ports: tcp(portOf(t, "metrics")), From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: "monitoring"},
			}}}},
		},
	}
	if diff := cmp.Diff(want, policy.Spec); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// webhookNames matches the names that the rules and the dashboard select.
var webhookNames = regexp.MustCompile(`name=~"([^"]+)"`)

func TestRulesSelectEveryWebhook(t *testing.T) {
	names := []string{"warn-by-default.image-webhook.dev"} // of the component
	for _, file := range slices.Concat(deploy.Files(), deploy.NamespaceOwnerFiles()) {
		for _, h := range hooksOf(loadFile(t, file)) {
			names = append(names, h.Name)
		}
	}
	for _, file := range []string{rulesFile, "monitoring/dashboard.json"} {
		selectors := webhookNames.FindAllStringSubmatch(strings.ReplaceAll(readFile(t, file), `\"`, `"`), -1)
		if len(selectors) == 0 {
			t.Errorf("%s selects no webhook", file)
		}
		for _, selector := range selectors {
			pattern := regexp.MustCompile("^(?:" + selector[1] + ")$")
			if pattern.MatchString("validate.other.example") {
				t.Errorf("%s: %s selects webhooks of others", file, selector[0])
			}
			for _, name := range names {
				if !pattern.MatchString(name) {
					t.Errorf("%s: %s does not select %s", file, selector[0], name)
				}
			}
		}
	}
}

func tcp(port corev1.ContainerPort) []networkingv1.NetworkPolicyPort {
	return []networkingv1.NetworkPolicyPort{{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(port.ContainerPort))}}
}
