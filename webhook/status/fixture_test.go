package status

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/checks/certtest"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// days is a number of days, because certificates are valid for days.
func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// issued is a server certificate with its key and its CA, in PEM.
type issued = certtest.Issued

// chainOf returns the certificate as a replica serves it.
func chainOf(t *testing.T, i issued) Read[[]*x509.Certificate] {
	t.Helper()
	chain, err := parseChain(i.Cert)
	if err != nil {
		t.Fatal(err)
	}
	return Read[[]*x509.Certificate]{Value: chain}
}

// issue creates a CA and a certificate for a host that is valid from start to end, relative to
// now.
func issue(t *testing.T, name string, start, end time.Duration) issued {
	t.Helper()
	return certtest.Issue(t, name, now.Add(start), now.Add(end))
}

// healthy returns the Snapshot of a healthy installation of the manifests with two replicas, and
// the certificate that they serve.
func healthy(t *testing.T) (Snapshot, issued) {
	t.Helper()
	current := issue(t, host(DefaultNamespace), -days(65), days(300))
	want := manifests(DefaultNamespace)
	s := Snapshot{
		Time: now, Namespace: DefaultNamespace, Server: "https://api.example", Version: Read[string]{Value: "v1.37.1"},
		Own:            Read[*corev1.Namespace]{Value: &corev1.Namespace{}},
		Deployment:     Read[*appsv1.Deployment]{Value: manifestDeployment()},
		Policy:         Read[*corev1.ConfigMap]{Value: manifestPolicy()},
		Replicas:       Read[[]corev1.Pod]{Value: []corev1.Pod{replica("webhook-a", "node-a"), replica("webhook-b", "node-b")}},
		Service:        Read[*corev1.Service]{Value: &want.service},
		Slices:         Read[[]discoveryv1.EndpointSlice]{Value: []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.1"}}, {Addresses: []string{"10.1.0.2"}}}}}},
		Secret:         Read[*corev1.Secret]{Value: &corev1.Secret{Data: current.Data()}},
		CronJob:        Read[*batchv1.CronJob]{Value: hourly(20*time.Minute, 19*time.Minute)},
		Served:         map[string]Read[[]*x509.Certificate]{"webhook-a": chainOf(t, current), "webhook-b": chainOf(t, current)},
		Loaded:         map[string]Read[string]{"webhook-a": {Value: manifestVersion(t)}, "webhook-b": {Value: manifestVersion(t)}},
		Configurations: Read[[]configuration]{Value: patched(want.configurations, current.CA)},
		Namespaces:     Read[[]corev1.Namespace]{Value: []corev1.Namespace{labeled("kube-system", ""), labeled("shop", modeDeny)}},
		Roles:          Read[[]rbacv1.ClusterRole]{},
	}
	s.Service.Value.Spec.ClusterIPs = []string{"10.96.0.50"}
	return s, current
}

// patched returns configurations as 06 leaves them.
func patched(configurations []configuration, ca []byte) []configuration {
	for _, c := range configurations {
		for i := range c.hooks {
			c.hooks[i].ClientConfig.CABundle = ca
			if c.hooks[i].Name == denying {
				*c.hooks[i].FailurePolicy = "Fail"
			}
		}
	}
	return configurations
}

func manifestDeployment() *appsv1.Deployment {
	deployment := decode[appsv1.Deployment](manifestOf("Deployment"))
	deployment.Status.ReadyReplicas = 2
	return &deployment
}

func manifestPolicy() *corev1.ConfigMap {
	return new(decode[corev1.ConfigMap](manifestOf("ConfigMap")))
}

// manifestVersion returns the version of the policy file in the manifests.
func manifestVersion(t *testing.T) string {
	t.Helper()
	rules, err := policy.Read("policy.yaml", []byte(manifestPolicy().Data["policy.yaml"]), policy.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	return rules.Version
}

// manifestOf returns the first document of a kind.
func manifestOf(kind string) document {
	documents := webhookDocuments()
	return documents[slices.IndexFunc(documents, func(d document) bool { return d.Kind == kind })]
}

func replica(name, node string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: DefaultNamespace},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: workload, Image: "example.com/image-webhook:v1"}}},
		Status: corev1.PodStatus{
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: workload, ImageID: "example.com/image-webhook@sha256:0123456789abcdef"}},
		},
	}
}

// hourly returns a CronJob that was created long ago, with the ages of its last run and its last
// success.
func hourly(scheduled, succeeded time.Duration) *batchv1.CronJob {
	return &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Time{Time: now.Add(-days(100))}},
		Spec:       batchv1.CronJobSpec{Schedule: "17 * * * *"},
		Status:     batchv1.CronJobStatus{LastScheduleTime: &metav1.Time{Time: now.Add(-scheduled)}, LastSuccessfulTime: &metav1.Time{Time: now.Add(-succeeded)}},
	}
}

// labeled returns a namespace with a mode; without the label if mode is "".
func labeled(name, mode string) corev1.Namespace {
	n := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if mode != "" {
		n.Labels = map[string]string{modeLabel: mode}
	}
	return n
}
