package status

import (
	"context"
	"crypto/x509"
	"errors"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	runRenew = "kubectl create job renew-$(date +%s) --from=cronjob/renew -n image-webhook"
	run06    = "kubectl replace --force -f deploy/06-patch-webhookconfigure.yaml"
	apply04  = "kubectl apply -f deploy/04-webhook.yaml"
	apply05  = "kubectl apply -f deploy/05-webhookconfigure.yaml && " + run06
)

func TestHealthyInstallation(t *testing.T) {
	s, _ := healthy(t)
	want := Report{Healthy: true, Checks: []Check{
		{Name: "api-server", Result: OK, Message: "https://api.example answers, Kubernetes v1.37.1"},
		{Name: "namespace", Result: OK, Object: "namespace/image-webhook", Message: "exists"},
		{Name: "replicas", Result: OK, Object: "deployment/webhook", Message: "2 of 2 replicas are ready"},
		{Name: "versions", Result: OK, Message: "all replicas run example.com/image-webhook:v1 (sha256:0123456789ab)"},
		{Name: "priority", Result: OK, Object: "deployment/webhook", Message: "has priority class system-cluster-critical"},
		{Name: "service", Result: OK, Object: "service/webhook", Message: "has the selector and the port of the manifest"},
		{Name: "endpoints", Result: OK, Object: "service/webhook", Message: "has 2 ready endpoints"},
		{Name: "external-ips", Result: OK, Message: "no other Service claims the address of the webhook"},
		{Name: "certificate", Result: OK, Object: "secret/webhook-tls", Message: "is valid for webhook.image-webhook.svc, 300 days left"},
		{Name: "served-certificate", Result: OK, Message: "2 replicas serve the certificate of the Secret, 300 days left"},
		{Name: "renewal", Result: OK, Object: "cronjob/renew", Message: "last run 20 minutes ago, last success 19 minutes ago"},
		{Name: "policy", Result: OK, Object: "configmap/image-policy", Message: "policy.yaml is valid, version " + manifestVersion(t) + ", used by 2 replicas"},
		{Name: "registration", Result: OK, Message: "the webhooks are registered as in deploy/05-webhookconfigure.yaml"},
		{Name: "ca-bundle", Result: OK, Message: "5 webhooks trust the certificates of 2 replicas and of the Secret"},
		{Name: "failure-policy", Result: OK, Message: "validating.image-webhook.dev is on Fail, all other webhooks are on Ignore"},
		{Name: "modes", Result: Info, Message: "no webhook is called for the namespaces kube-system, kube-node-lease, image-webhook"},
	}}
	if diff := cmp.Diff(want, Evaluate(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// scenario is a change of a healthy installation, and the checks that are different then.
type scenario struct {
	name   string
	change func(t *testing.T, s *Snapshot, current issued)
	want   []Check
}

// checkScenarios compares the checks that a healthy installation does not have.
func checkScenarios(t *testing.T, scenarios []scenario) {
	t.Helper()
	for _, tt := range scenarios {
		t.Run(tt.name, func(t *testing.T) {
			s, current := healthy(t)
			before := Evaluate(s)
			tt.change(t, &s, current)
			after := Evaluate(s)
			got := slices.DeleteFunc(slices.Clone(after.Checks), func(c Check) bool { return slices.Contains(before.Checks, c) })
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
			bad := slices.ContainsFunc(tt.want, func(c Check) bool { return c.Result == Problem || c.Result == Unknown })
			if after.Healthy == bad {
				t.Errorf("healthy is %t", after.Healthy)
			}
		})
	}
}

func notFound(resource, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: resource}, name)
}

func forbidden(resource, name string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, name, errors.New("no rights"))
}

func TestAPIServer(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want Check
	}{
		{"refuses the connection", &url.Error{Op: "Get", URL: "https://api.example/version", Err: errors.New("connection refused")},
			Check{"api-server", Problem, "", "https://api.example does not answer: connection refused", "kubectl cluster-info"}},
		{"does not answer in time", &url.Error{Op: "Get", URL: "https://api.example/version", Err: context.DeadlineExceeded},
			Check{"api-server", Problem, "", "https://api.example does not answer: no answer in time: check the connection, or use a longer --timeout", "kubectl cluster-info"}},
		{"rejects the credentials", apierrors.NewUnauthorized("Unauthorized"),
			Check{"api-server", Problem, "", "https://api.example does not accept your credentials: Unauthorized", "kubectl cluster-info"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Evaluate(Snapshot{Namespace: DefaultNamespace, Server: "https://api.example", Version: Read[string]{Err: tt.err}})
			if diff := cmp.Diff(Report{Checks: []Check{tt.want}}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNothingInstalledIsOneProblem(t *testing.T) {
	s := Snapshot{Namespace: DefaultNamespace, Server: "https://api.example", Version: Read[string]{Value: "v1.37.1"}}
	s.Own.Err = notFound("namespaces", DefaultNamespace)
	want := Report{Checks: []Check{
		{Name: "api-server", Result: OK, Message: "https://api.example answers, Kubernetes v1.37.1"},
		{"namespace", Problem, "namespace/image-webhook", "does not exist: image-webhook is not installed", "kubectl apply -f install.yaml"},
	}}
	if diff := cmp.Diff(want, Evaluate(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNamespace(t *testing.T) {
	checkScenarios(t, []scenario{
		{"deleted, but the configurations still exist", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Own.Err = notFound("namespaces", DefaultNamespace)
			s.Secret.Err, s.Served = notFound("secrets", secretName), nil
		}, []Check{
			{"namespace", Problem, "namespace/image-webhook", "does not exist: no replica can answer the API server",
				"kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations -l app.kubernetes.io/name=image-webhook"},
			{Name: "ca-bundle", Result: Unknown, Message: "not checked: there is no certificate to compare the caBundles with"},
		}},
		{"not the one of the installation", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value = manifests("other").configurations
		}, []Check{{"namespace", Problem, "namespace/image-webhook", "image-webhook is installed in namespace other", "kubectl image-webhook status -n other"}}},
		{"not readable", func(_ *testing.T, s *Snapshot, _ issued) { s.Own.Err = forbidden("namespaces", DefaultNamespace) }, []Check{
			{Name: "namespace", Result: Unknown, Object: "namespace/image-webhook", Message: `not checked: namespaces "image-webhook" is forbidden: no rights`},
		}},
	})
}

func TestMissingRightsAreOneLineEach(t *testing.T) {
	unknown := func(name, object, message string) Check {
		return Check{Name: name, Result: Unknown, Object: object, Message: "not checked: " + message + " is forbidden: no rights"}
	}
	checkScenarios(t, []scenario{
		{"deployment", func(_ *testing.T, s *Snapshot, _ issued) { s.Deployment.Err = forbidden("deployments", workload) },
			[]Check{unknown("replicas", "deployment/webhook", `deployments "webhook"`)}},
		{"pods", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Replicas, s.Served, s.Loaded = Read[[]corev1.Pod]{Err: forbidden("pods", "")}, nil, nil
		}, []Check{
			unknown("versions", "pods", "pods"),
			{Name: "policy", Result: OK, Object: "configmap/image-policy", Message: "policy.yaml is valid, version " + manifestVersion(t)},
			{Name: "ca-bundle", Result: OK, Message: "5 webhooks trust the certificate of the Secret"},
		}},
		{"pods/portforward", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Served["webhook-b"] = Read[[]*x509.Certificate]{Err: forbidden("pods", "webhook-b")}
			s.Loaded["webhook-b"] = Read[string]{Err: forbidden("pods", "webhook-b")}
		}, []Check{
			unknown("served-certificate", "pod/webhook-b", `pods "webhook-b"`),
			{Name: "policy", Result: OK, Object: "configmap/image-policy", Message: "policy.yaml is valid, version " + manifestVersion(t) + ", used by 1 replica"},
			{Name: "ca-bundle", Result: OK, Message: "5 webhooks trust the certificates of 1 replica and of the Secret"},
		}},
		{"service", func(_ *testing.T, s *Snapshot, _ issued) { s.Service.Err = forbidden("services", workload) },
			[]Check{unknown("service", "service/webhook", `services "webhook"`)}},
		{"endpointslices", func(_ *testing.T, s *Snapshot, _ issued) { s.Slices.Err = forbidden("endpointslices", "") },
			[]Check{unknown("endpoints", "endpointslices", "endpointslices")}},
		{"services", func(_ *testing.T, s *Snapshot, _ issued) { s.Services.Err = forbidden("services", "") },
			[]Check{unknown("external-ips", "services", "services")}},
		{"secret", func(_ *testing.T, s *Snapshot, _ issued) { s.Secret.Err = forbidden("secrets", secretName) }, []Check{
			unknown("certificate", "secret/webhook-tls", `secrets "webhook-tls"`),
			{Name: "served-certificate", Result: OK, Message: "2 replicas serve a certificate, 300 days left"},
			{Name: "ca-bundle", Result: OK, Message: "5 webhooks trust the certificates of 2 replicas"},
		}},
		{"configmap", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Policy.Err, s.Loaded = forbidden("configmaps", "image-policy"), nil
		}, []Check{unknown("policy", "configmap/image-policy", `configmaps "image-policy"`)}},
		{"cronjob", func(_ *testing.T, s *Snapshot, _ issued) { s.CronJob.Err = forbidden("cronjobs", renew) },
			[]Check{unknown("renewal", "cronjob/renew", `cronjobs "renew"`)}},
		{"configurations", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations = Read[[]configuration]{Err: forbidden("validatingwebhookconfigurations", "")}
		}, []Check{unknown("registration", "webhook configurations", "validatingwebhookconfigurations")}},
		{"namespaces", func(_ *testing.T, s *Snapshot, _ issued) { s.Namespaces.Err = forbidden("namespaces", "") },
			[]Check{{Name: "modes", Result: Info, Object: "namespaces", Message: "not listed: namespaces is forbidden: no rights"}}},
		{"clusterroles", func(_ *testing.T, s *Snapshot, _ issued) { s.Roles.Err = forbidden("clusterroles", "") },
			[]Check{{Name: "access", Result: Info, Message: "not listed: clusterroles is forbidden: no rights"}}},
		{"clusterrolebindings", func(_ *testing.T, s *Snapshot, _ issued) { s.Bindings.Err = forbidden("clusterrolebindings", "") },
			[]Check{{Name: "access", Result: Info, Message: "not listed: clusterrolebindings is forbidden: no rights"}}},
	})
}
