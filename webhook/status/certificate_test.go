package status

import (
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/image-webhook/image-webhook/webhook/certgen"
)

// ownHost is the host name of the webhook.
var ownHost = host(DefaultNamespace)

// serve makes all replicas and the Secret have a certificate.
func serve(t *testing.T, s *Snapshot, i issued) {
	t.Helper()
	s.Secret.Value.Data = i.Data()
	for pod := range s.Served {
		s.Served[pod] = chainOf(t, i)
	}
	patched(s.Configurations.Value, i.CA)
}

func TestCertificate(t *testing.T) {
	problem := func(message string) Check {
		return Check{"certificate", Problem, "secret/webhook-tls", message, runRenew}
	}
	set := func(key, value string) func(*testing.T, *Snapshot, issued) {
		return func(_ *testing.T, s *Snapshot, _ issued) { s.Secret.Value.Data[key] = []byte(value) }
	}
	unreadable := []Check{
		{Name: "served-certificate", Result: OK, Message: "2 replicas serve a certificate, 300 days left"},
		{Name: "ca-bundle", Result: OK, Message: "5 webhooks trust the certificates of 2 replicas"},
	}
	checkScenarios(t, []scenario{
		{"deleted", func(_ *testing.T, s *Snapshot, _ issued) { s.Secret.Err = notFound("secrets", secretName) },
			append([]Check{problem("does not exist: replicas cannot start")}, unreadable...)},
		{"without keys", func(_ *testing.T, s *Snapshot, _ issued) { s.Secret.Value.Data = nil },
			append([]Check{problem(`key "ca" is missing`), problem(`key "cert" is missing`), problem(`key "key" is missing`)}, unreadable...)},
		{"garbage in cert", set(certKey, "garbage"), append([]Check{problem(`key "cert" is invalid: it contains no certificate in PEM`)}, unreadable...)},
		{"garbage in ca", set(caKey, "garbage"), append([]Check{problem(`key "ca" is invalid: it contains no certificate in PEM`)}, unreadable...)},
		{"garbage in key", set(keyKey, "garbage"), append([]Check{problem(`keys "cert" and "key" are not a valid pair: tls: failed to find any PEM data in key input`)}, unreadable...)},
		{"a key of another certificate", func(t *testing.T, s *Snapshot, _ issued) {
			s.Secret.Value.Data[keyKey] = issue(t, ownHost, 0, days(1)).Key
		}, append([]Check{problem(`keys "cert" and "key" are not a valid pair: tls: private key does not match public key`)}, unreadable...)},
		{"another CA", func(t *testing.T, s *Snapshot, _ issued) {
			s.Secret.Value.Data[caKey] = issue(t, ownHost, 0, days(1)).CA
		}, append([]Check{problem(`key "ca" does not trust the certificate: it is issued by another CA`)}, unreadable...)},
		{"renewed, without 06", func(t *testing.T, s *Snapshot, _ issued) {
			s.Secret.Value.Data = issue(t, ownHost, -days(1), days(364)).Data()
		}, []Check{
			{Name: "certificate", Result: OK, Object: "secret/webhook-tls", Message: "is valid for webhook.image-webhook.svc, 364 days left"},
			{"served-certificate", Warning, "pod/webhook-a", "serves another certificate than the Secret, 300 days left: a replica loads a new one within two minutes", ""},
			{"served-certificate", Warning, "pod/webhook-b", "serves another certificate than the Secret, 300 days left: a replica loads a new one within two minutes", ""},
			{"ca-bundle", Problem, denyingObject, "webhook validating.image-webhook.dev: caBundle does not trust the certificate of secret/webhook-tls", runRenew},
			{"ca-bundle", Problem, warningsObject, "webhooks warn.image-webhook.dev, workloads.image-webhook.dev and unknown-mode.image-webhook.dev: caBundle does not trust the certificate of secret/webhook-tls", runRenew},
			{"ca-bundle", Problem, mutatingObject, "webhook mutating.image-webhook.dev: caBundle does not trust the certificate of secret/webhook-tls", runRenew},
		}},
		{"due", func(t *testing.T, s *Snapshot, _ issued) { serve(t, s, issue(t, ownHost, -days(300), days(65))) }, []Check{
			{"certificate", Warning, "secret/webhook-tls", "is valid for webhook.image-webhook.svc, 65 days left: it is due for renewal", runRenew},
			{"served-certificate", Warning, "pod/webhook-a", "serves a certificate that is due for renewal, 65 days left", runRenew},
			{"served-certificate", Warning, "pod/webhook-b", "serves a certificate that is due for renewal, 65 days left", runRenew},
		}},
		{"expired, without the CronJob", func(t *testing.T, s *Snapshot, _ issued) {
			serve(t, s, issue(t, ownHost, -days(365), -time.Hour))
			s.CronJob.Err = notFound("cronjobs", renew)
		}, []Check{
			{"certificate", Problem, "secret/webhook-tls", "the certificate expired on 2026-05-01T11:00:00Z", "kubectl replace --force -f deploy/03-certgen.yaml -f deploy/06-patch-webhookconfigure.yaml"},
			{"served-certificate", Problem, "pod/webhook-a", "the certificate expired on 2026-05-01T11:00:00Z", "kubectl replace --force -f deploy/03-certgen.yaml -f deploy/06-patch-webhookconfigure.yaml"},
			{"served-certificate", Problem, "pod/webhook-b", "the certificate expired on 2026-05-01T11:00:00Z", "kubectl replace --force -f deploy/03-certgen.yaml -f deploy/06-patch-webhookconfigure.yaml"},
			{"renewal", Problem, "cronjob/renew", "does not exist: nothing renews the certificate", "kubectl apply -f deploy/07-renew.yaml"},
			{Name: "ca-bundle", Result: OK, Message: "5 webhooks trust the certificates of 2 replicas"},
		}},
		{"not yet valid", func(t *testing.T, s *Snapshot, _ issued) {
			serve(t, s, issue(t, ownHost, time.Hour, days(365)))
			s.Served = nil
		}, []Check{
			problem("the certificate is not valid before 2026-05-01T13:00:00Z"),
			{Name: "ca-bundle", Result: Unknown, Message: "not checked: there is no certificate to compare the caBundles with"},
		}},
		{"another host", func(t *testing.T, s *Snapshot, _ issued) { serve(t, s, issue(t, "other.example", -days(1), days(364))) }, []Check{
			problem("the certificate is not valid for host webhook.image-webhook.svc"),
			{"served-certificate", Problem, "pod/webhook-a", "the certificate is not valid for host webhook.image-webhook.svc", runRenew},
			{"served-certificate", Problem, "pod/webhook-b", "the certificate is not valid for host webhook.image-webhook.svc", runRenew},
			{Name: "ca-bundle", Result: OK, Message: "5 webhooks trust the certificates of 2 replicas"},
		}},
		{"a renewal is in progress", func(t *testing.T, s *Snapshot, _ issued) {
			s.Secret.Value.Data[certgen.StagedPrefix+caKey] = issue(t, ownHost, 0, days(365)).CA
		}, []Check{{Name: "certificate", Result: Info, Object: "secret/webhook-tls",
			Message: "contains the next certificate: a renewal is in progress, and the next run of the CronJob finishes it"}}},
		{"a new CA is requested", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Secret.Value.Annotations = map[string]string{certgen.RenewAnnotation: "true"}
		}, []Check{{Name: "certificate", Result: Info, Object: "secret/webhook-tls",
			Message: "a new CA is requested: the next run of the CronJob replaces the certificate"}}},
	})
}

func TestServedCertificate(t *testing.T) {
	const restart = "kubectl rollout restart deployment/webhook -n image-webhook"
	checkScenarios(t, []scenario{
		{"of a replica is older than the Secret, and trusted", func(t *testing.T, s *Snapshot, current issued) {
			old := issue(t, ownHost, -days(265), days(100))
			s.Served["webhook-b"] = chainOf(t, old)
			patched(s.Configurations.Value, append(current.CA, old.CA...))
		}, []Check{{"served-certificate", Warning, "pod/webhook-b",
			"serves another certificate than the Secret, 100 days left: a replica loads a new one within two minutes", restart}}},
		{"of a replica is older than the Secret, and not trusted", func(t *testing.T, s *Snapshot, _ issued) {
			s.Served["webhook-b"] = chainOf(t, issue(t, ownHost, -days(265), days(100)))
		}, []Check{
			{"served-certificate", Warning, "pod/webhook-b", "serves another certificate than the Secret, 100 days left: a replica loads a new one within two minutes", restart},
			{"ca-bundle", Problem, "validatingwebhookconfiguration/image-webhook", "webhook validating.image-webhook.dev: caBundle does not trust the certificate of pod/webhook-b", restart},
			{"ca-bundle", Problem, "validatingwebhookconfiguration/image-webhook-warnings",
				"webhooks warn.image-webhook.dev, workloads.image-webhook.dev and unknown-mode.image-webhook.dev: caBundle does not trust the certificate of pod/webhook-b", restart},
			{"ca-bundle", Problem, "mutatingwebhookconfiguration/image-webhook", "webhook mutating.image-webhook.dev: caBundle does not trust the certificate of pod/webhook-b", restart},
		}},
		{"cannot be read", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Served["webhook-a"] = Read[[]*x509.Certificate]{Err: errors.New("TLS handshake:\n connection refused")}
		}, []Check{
			{Name: "served-certificate", Result: Unknown, Object: "pod/webhook-a", Message: "not checked: TLS handshake: connection refused"},
			{Name: "ca-bundle", Result: OK, Message: "5 webhooks trust the certificates of 1 replica and of the Secret"},
		}},
	})
}

func TestCABundle(t *testing.T) {
	checkScenarios(t, []scenario{
		{"is missing", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value[1].hooks[0].ClientConfig.CABundle = nil
			s.Configurations.Value[1].hooks[2].ClientConfig.CABundle = nil
		}, []Check{{"ca-bundle", Problem, "validatingwebhookconfiguration/image-webhook-warnings",
			"webhooks warn.image-webhook.dev and unknown-mode.image-webhook.dev: caBundle is missing: the API server cannot call the webhook", runRenew}}},
		{"is invalid", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value[2].hooks[0].ClientConfig.CABundle = []byte("garbage")
		}, []Check{{"ca-bundle", Problem, "mutatingwebhookconfiguration/image-webhook", "webhook mutating.image-webhook.dev: caBundle is invalid: it contains no certificate in PEM", runRenew}}},
		{"is another CA", func(t *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value[0].hooks[0].ClientConfig.CABundle = issue(t, ownHost, 0, days(1)).CA
		}, []Check{{"ca-bundle", Problem, "validatingwebhookconfiguration/image-webhook",
			"webhook validating.image-webhook.dev: caBundle does not trust the certificate of pod/webhook-a and of pod/webhook-b and of secret/webhook-tls", runRenew}}},
		{"also contains another CA", func(t *testing.T, s *Snapshot, current issued) {
			s.Configurations.Value[2].hooks[0].ClientConfig.CABundle = slices.Concat(current.CA, issue(t, ownHost, 0, days(1)).CA)
		}, []Check{{"ca-bundle", Warning, "mutatingwebhookconfiguration/image-webhook",
			"webhook mutating.image-webhook.dev: caBundle also trusts 1 CA that no replica needs: the next run of the CronJob removes it", runRenew}}},
		{"also contains the CA of the next certificate", func(t *testing.T, s *Snapshot, current issued) {
			next := issue(t, ownHost, 0, days(365))
			s.Secret.Value.Data[certgen.StagedPrefix+certKey] = next.Cert
			s.Configurations.Value[2].hooks[0].ClientConfig.CABundle = slices.Concat(current.CA, next.CA)
		}, []Check{{Name: "certificate", Result: Info, Object: "secret/webhook-tls",
			Message: "contains the next certificate: a renewal is in progress, and the next run of the CronJob finishes it"}}},
		{"of the owners' webhooks is missing", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value = append(s.Configurations.Value, manifests(DefaultNamespace).owner...)
		}, []Check{{"ca-bundle", Problem, "mutatingwebhookconfiguration/image-webhook-namespace-owner",
			"webhooks namespace-owner.image-webhook.dev and chosen-owner.image-webhook.dev: caBundle is missing: the API server cannot call the webhook", runRenew}}},
		{"of the owners' webhooks is missing, like the CronJob", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Configurations.Value = append(s.Configurations.Value, manifests(DefaultNamespace).owner...)
			s.CronJob = Read[*batchv1.CronJob]{Err: notFound("cronjobs", "renew")}
		}, []Check{
			{"renewal", Problem, "cronjob/renew", "does not exist: nothing renews the certificate", "kubectl apply -f deploy/07-renew.yaml"},
			{"ca-bundle", Problem, "mutatingwebhookconfiguration/image-webhook-namespace-owner",
				"webhooks namespace-owner.image-webhook.dev and chosen-owner.image-webhook.dev: caBundle is missing: the API server cannot call the webhook",
				"kubectl replace --force -f deploy/namespace-owner/06-patch-webhookconfigure.yaml"},
		}},
	})
}
