package status

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/image-webhook/image-webhook/webhook/certgen"
)

const secretObject = "secret/" + secretName

// Keys of the Secret. A renewal first stages the new certificate in those with
// certgen.StagedPrefix.
const (
	caKey   = "ca"
	certKey = "cert"
	keyKey  = "key"
)

// certificate checks the Secret. It reports everything that is wrong, because a renewal that is
// done manually must fix all of it.
func certificate(s evaluation) []Check {
	switch {
	case s.Secret.missing():
		return []Check{checkCertificate.problem(secretObject, s.renewNow(), "does not exist: replicas cannot start")}
	case s.Secret.Err != nil:
		return []Check{checkCertificate.unread(secretObject, s.Secret.Err)}
	}
	checks := s.pendingRenewal()
	problems, chain := s.secretProblems()
	for _, problem := range problems {
		checks = append(checks, checkCertificate.problem(secretObject, s.renewNow(), "%s", problem))
	}
	if len(problems) > 0 {
		return checks
	}
	valid := fmt.Sprintf("is valid for %s, %s left", host(s.Namespace), remaining(chain[0], s.Time))
	if isDue(chain[0], s.Time) {
		return append(checks, checkCertificate.warning(secretObject, s.renewNow(), "%s: it is due for renewal", valid))
	}
	return append([]Check{checkCertificate.ok(secretObject, "%s", valid)}, checks...)
}

// host is the name with which the API server calls the webhook.
func host(namespace string) string { return workload + "." + namespace + ".svc" }

// pendingRenewal reports a renewal that has begun, or that is requested.
func (s evaluation) pendingRenewal() (checks []Check) {
	for _, key := range []string{caKey, certKey, keyKey} {
		if _, ok := s.Secret.Value.Data[certgen.StagedPrefix+key]; ok {
			checks = append(checks, checkCertificate.info(secretObject, "contains the next certificate: a renewal is in progress, and the next run of the CronJob finishes it"))
			break
		}
	}
	if s.Secret.Value.Annotations[certgen.RenewAnnotation] == "true" {
		checks = append(checks, checkCertificate.info(secretObject, "a new CA is requested: the next run of the CronJob replaces the certificate"))
	}
	return checks
}

// secretProblems returns what is wrong with the Secret, and its certificate if there is one.
func (s evaluation) secretProblems() (problems []string, chain []*x509.Certificate) {
	data := s.Secret.Value.Data
	for _, key := range []string{caKey, certKey, keyKey} {
		if len(data[key]) == 0 {
			problems = append(problems, fmt.Sprintf("key %q is missing", key))
		}
	}
	if len(problems) > 0 {
		return problems, nil
	}
	chain, err := parseChain(data[certKey])
	if err != nil {
		return []string{fmt.Sprintf("key %q is invalid: %v", certKey, err)}, nil
	}
	if _, err := tls.X509KeyPair(data[certKey], data[keyKey]); err != nil {
		problems = append(problems, fmt.Sprintf("keys %q and %q are not a valid pair: %v", certKey, keyKey, err))
	}
	roots, err := parseChain(data[caKey])
	if err != nil {
		return append(problems, fmt.Sprintf("key %q is invalid: %v", caKey, err)), chain
	}
	if err := trusts(roots, chain, s.Time); err != nil {
		problems = append(problems, fmt.Sprintf("key %q does not trust the certificate: %v", caKey, err))
	}
	return append(problems, s.leafProblems(chain[0])...), chain
}

// leafProblems returns why the API server cannot use a server certificate, apart from its CA.
func (s evaluation) leafProblems(leaf *x509.Certificate) (problems []string) {
	if err := leaf.VerifyHostname(host(s.Namespace)); err != nil {
		problems = append(problems, fmt.Sprintf("the certificate is not valid for host %s", host(s.Namespace)))
	}
	switch {
	case s.Time.Before(leaf.NotBefore):
		problems = append(problems, fmt.Sprintf("the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339)))
	case s.Time.After(leaf.NotAfter):
		problems = append(problems, fmt.Sprintf("the certificate expired on %s", leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	return problems
}

// secretChain returns the certificate of the Secret, which the replicas load, or nil if the Secret
// is not valid and must be repaired first.
func (s evaluation) secretChain() []*x509.Certificate {
	if s.Secret.Err != nil {
		return nil
	}
	problems, chain := s.secretProblems()
	if len(problems) > 0 {
		return nil
	}
	return chain
}
