package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/e2e-framework/klient/k8s"

	"github.com/image-webhook/image-webhook/tools/checks/certtest"
	"github.com/image-webhook/image-webhook/tools/devcluster/monitoring"
)

// alertFile has an alert as a terminal shows it. If the environment variable E2E_UPDATE is 1,
// `make e2e LABELS=monitoring` writes it.
var alertFile = filepath.Join("testdata", "monitoring", "alert.txt")

var _ = Describe("monitoring", Label(devCluster, "monitoring"), func() {
	BeforeEach(func(ctx SpecContext) {
		installed, err := monitoring.IsInstalled(ctx, clientset())
		Expect(err).NotTo(HaveOccurred())
		if !installed {
			Skip("Prometheus is not in the cluster: run `make up MONITORING=1`")
		}
	})

	It("scrapes all replicas and API servers, and can evaluate all rules", func(ctx SpecContext) {
		Eventually(func() ([]string, error) { return notScraped(ctx) }).WithContext(ctx).Should(BeEmpty(), "replicas that Prometheus does not scrape")
		Eventually(func() ([]sample, error) { return query(ctx, `up == 0 or absent(up{job="apiserver"})`) }).WithContext(ctx).
			Should(BeEmpty(), "targets that are down")
		Eventually(func() ([]alertingRule, error) { return rules(ctx) }).WithContext(ctx).
			Should(And(Not(BeEmpty()), HaveEach(HaveField("Health", "ok"))), "rules that Prometheus can evaluate")
	})

	It("has the durations of reviews as native histograms", func(ctx SpecContext) {
		Expect(dryRun(ctx, newPod(dryRuns, "nginx:1.25"))).To(Succeed())
		Eventually(func() ([]sample, error) {
			path, _ := pathOfPods()
			return query(ctx, `histogram_count(image_webhook_review_duration_seconds{path="`+path+`"}) > 0`)
		}).WithContext(ctx).ShouldNot(BeEmpty())
	})

	// Serial, so that no other spec creates the denial.
	It("has a denial as a sample within seconds", Serial, func(ctx SpecContext) {
		skipIfFilesDeny()
		path, verdict := pathOfPods()
		denials := fmt.Sprintf(`image_webhook_reviews_total{path=%q,operation="CREATE",verdict=%q}`, path, verdict)
		before, err := query(ctx, denials)
		Expect(err).NotTo(HaveOccurred())
		Expect(dryRun(ctx, newPod(dryRuns, "nginx:latest"))).NotTo(Succeed())
		Eventually(func() (float64, error) {
			after, err := query(ctx, denials)
			return increase(before, after), err
		}).WithContext(ctx).Should(BeNumerically(">", 0))
	})

	It("alerts if a certificate is close to its end", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		runServer(ctx, namespace, "two-days", 2*24*time.Hour)
		runServer(ctx, namespace, "ten-days", 10*24*time.Hour)
		Eventually(func() ([]string, error) { return firing(ctx, namespace) }).WithContext(ctx).Should(ConsistOf(
			"ImageWebhookCertificateExpires two-days", "ImageWebhookCertificateExpiresSoon two-days", "ImageWebhookCertificateExpiresSoon ten-days"))
		compareAlert(ctx, namespace)
	})
})

// sample is an element of the answer to a query.
type sample struct {
	Metric map[string]string
	Value  [2]any // the time, and the value as a string
}

type alertingRule struct{ Name, Health, LastError string }

type alert struct {
	Labels map[string]string
	State  string
}

func clientset() kubernetes.Interface {
	GinkgoHelper()
	clientset, err := kubernetes.NewForConfig(client.RESTConfig())
	Expect(err).NotTo(HaveOccurred())
	return clientset
}

// askPrometheus decodes the data of an answer of Prometheus. params are names and values.
func askPrometheus(ctx context.Context, data any, path string, params ...string) error {
	GinkgoHelper()
	request := clientset().CoreV1().RESTClient().Get().AbsPath(monitoring.Path + path)
	for i := 0; i < len(params); i += 2 {
		request.Param(params[i], params[i+1])
	}
	answer, err := request.DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("%w: %s", err, answer)
	}
	return json.Unmarshal(answer, &struct{ Data any }{data})
}

// query returns the samples that a query of PromQL selects.
func query(ctx context.Context, promQL string) ([]sample, error) {
	GinkgoHelper()
	var data struct{ Result []sample }
	err := askPrometheus(ctx, &data, "/query", "query", promQL)
	return data.Result, err
}

// notScraped returns the names of the replicas that Prometheus does not scrape.
func notScraped(ctx context.Context) ([]string, error) {
	GinkgoHelper()
	up, err := query(ctx, `up{job="image-webhook"} == 1`)
	values := byPod(up)
	return slices.DeleteFunc(serverNames(ctx), func(name string) bool { return values[name] == 1 }), err
}

// rules returns all rules that Prometheus has loaded.
func rules(ctx context.Context) (all []alertingRule, err error) {
	GinkgoHelper()
	var data struct {
		Groups []struct{ Rules []alertingRule }
	}
	err = askPrometheus(ctx, &data, "/rules")
	for _, group := range data.Groups {
		all = append(all, group.Rules...)
	}
	return all, err
}

// byPod returns the values of samples by their label pod.
func byPod(samples []sample) map[string]float64 {
	GinkgoHelper()
	values := map[string]float64{}
	for _, s := range samples {
		value, err := strconv.ParseFloat(s.Value[1].(string), 64)
		Expect(err).NotTo(HaveOccurred())
		values[s.Metric["pod"]] = value
	}
	return values
}

// increase returns by how much counters have increased. It ignores counters that have vanished
// with their replica.
func increase(before, after []sample) (total float64) {
	GinkgoHelper()
	values := byPod(before)
	for pod, value := range byPod(after) {
		total += value - values[pod]
	}
	return total
}

// runServer runs a server whose certificate is valid for a limited time. The Service of the
// webhook does not select it, because it is in another namespace.
func runServer(ctx context.Context, namespace, name string, validity time.Duration) {
	GinkgoHelper()
	issued := certtest.Issue(GinkgoTB(), "webhook.image-webhook.svc", time.Now().Add(-time.Hour), time.Now().Add(validity))
	template := get(ctx, &appsv1.Deployment{}, "webhook").Spec.Template
	template.Spec.Volumes[0].Secret.SecretName, template.Spec.Volumes[1].ConfigMap.Name = name, name
	template.Spec.ServiceAccountName, template.Spec.PriorityClassName = "default", ""
	metadata := metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: template.Labels}
	for _, object := range []k8s.Object{
		&corev1.Secret{ObjectMeta: metadata, Data: issued.Data()},
		&corev1.ConfigMap{ObjectMeta: metadata, Data: get(ctx, &corev1.ConfigMap{}, policyConfigMap).Data},
		&corev1.Pod{ObjectMeta: metadata, Spec: template.Spec},
	} {
		Expect(client.Resources().Create(ctx, object)).To(Succeed())
	}
}

// firing returns the firing alerts about pods of a namespace, as "ALERT POD".
func firing(ctx context.Context, namespace string) (found []string, err error) {
	GinkgoHelper()
	var data struct{ Alerts []alert }
	err = askPrometheus(ctx, &data, "/alerts")
	for _, a := range data.Alerts {
		if a.Labels["namespace"] == namespace && a.State == "firing" {
			found = append(found, a.Labels["alertname"]+" "+a.Labels["pod"])
		}
	}
	return found, err
}

// compareAlert compares the critical alert in a namespace with alertFile, or writes the file.
func compareAlert(ctx context.Context, namespace string) {
	GinkgoHelper()
	got := "$ kubectl get --raw " + monitoring.Path + `/alerts | jq '.data.alerts[] | select(.labels.severity == "critical")'` + "\n"
	var data struct{ Alerts []json.RawMessage }
	Expect(askPrometheus(ctx, &data, "/alerts")).To(Succeed())
	for _, text := range data.Alerts {
		var a alert
		Expect(json.Unmarshal(text, &a)).To(Succeed())
		if a.Labels["namespace"] == namespace && a.Labels["severity"] == "critical" {
			got += reproducibleAlert(text)
		}
	}
	if updates() {
		Expect(os.WriteFile(alertFile, []byte(got), 0o644)).To(Succeed())
		return
	}
	want, err := os.ReadFile(alertFile)
	Expect(err).NotTo(HaveOccurred())
	Expect(cmp.Diff(string(want), got)).To(BeEmpty(), alertFile+" (-want +got)")
}

// differingInAlerts are the texts of an alert that differ between runs, and what alertFile has
// instead.
var differingInAlerts = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`\be2e-[a-z0-9]+`), ownNamespace},
	{regexp.MustCompile(`\btwo-days\b`), "webhook-6d4cf56db6-4xkzp"},
	{regexp.MustCompile(`\b10(\.\d+){3}\b`), "10.244.1.5"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "2026-01-31T12:00:00Z"},
	{regexp.MustCompile(`\b1d 23h \d+m \d+s\b`), "1d 23h 59m 30s"},
	{regexp.MustCompile(`"1\.7\d+e\+05"`), `"1.7277e+05"`},
}

// reproducibleAlert formats an alert as jq does, and replaces the texts that differ.
func reproducibleAlert(text []byte) string {
	GinkgoHelper()
	var indented bytes.Buffer
	Expect(json.Indent(&indented, text, "", "  ")).To(Succeed())
	formatted := indented.String() + "\n"
	for _, d := range differingInAlerts {
		formatted = d.pattern.ReplaceAllString(formatted, d.replacement)
	}
	return formatted
}
