package monitoring

import (
	"os"
	"regexp"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

const (
	root   = "../../.."
	deploy = root + "/deploy/monitoring/"
)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// decode decodes a manifest, and fails the test on a field that the type does not have.
func decode[T any](t *testing.T, file string) (decoded T) {
	t.Helper()
	if err := yaml.UnmarshalStrict(readFile(t, deploy+file), &decoded); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return decoded
}

func TestObjectsHaveTheTypesOfTheOperator(t *testing.T) {
	monitor := decode[monitoringv1.PodMonitor](t, "podmonitor.yaml")
	rule := decode[monitoringv1.PrometheusRule](t, "prometheusrule.yaml")
	for got, want := range map[string]string{
		monitor.APIVersion + " " + monitor.Kind: "monitoring.coreos.com/v1 PodMonitor",
		rule.APIVersion + " " + rule.Kind:       "monitoring.coreos.com/v1 PrometheusRule",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// parserVersion matches the version of Prometheus in a go.mod file.
var parserVersion = regexp.MustCompile(`github\.com/prometheus/prometheus (v\S+)`)

func TestParserHasTheVersionOfPromtool(t *testing.T) {
	var versions []string
	for _, file := range []string{"go.mod", root + "/tools/pins/prometheus/go.mod"} {
		match := parserVersion.FindStringSubmatch(string(readFile(t, file)))
		if match == nil {
			t.Fatalf("%s does not require Prometheus", file)
		}
		versions = append(versions, match[1])
	}
	if versions[0] != versions[1] {
		t.Errorf("the versions differ: %s", strings.Join(versions, ", "))
	}
}
