package status

import (
	"crypto/x509"
)

// served checks the certificates that the replicas serve.
func served(s evaluation) (checks []Check) {
	var oldest *x509.Certificate
	for _, pod := range sortedKeys(s.Served) {
		object, chain := "pod/"+pod, s.Served[pod]
		if chain.Err != nil {
			checks = append(checks, checkServed.unread(object, chain.Err))
			continue
		}
		leaf := chain.Value[0]
		checks = append(checks, s.servedLeaf(object, leaf)...)
		if oldest == nil || leaf.NotAfter.Before(oldest.NotAfter) {
			oldest = leaf
		}
	}
	if len(checks) > 0 || oldest == nil {
		return checks
	}
	text := "serve a certificate"
	if s.secretChain() != nil {
		text = "serve the certificate of the Secret"
	}
	return []Check{checkServed.ok("", "%s %s, %s left", count(len(s.Served), "replica"), text, remaining(oldest, s.Time))}
}

func (s evaluation) servedLeaf(object string, leaf *x509.Certificate) (checks []Check) {
	problems := s.leafProblems(leaf)
	for _, problem := range problems {
		checks = append(checks, checkServed.problem(object, s.renewNow(), "%s", problem))
	}
	stored := s.secretChain()
	switch {
	case stored != nil && !leaf.Equal(stored[0]):
		checks = append(checks, checkServed.warning(object, s.restartFix(stored),
			"serves another certificate than the Secret, %s left: a replica loads a new one within two minutes", remaining(leaf, s.Time)))
	case len(problems) == 0 && isDue(leaf, s.Time):
		checks = append(checks, checkServed.warning(object, s.renewNow(), "serves a certificate that is due for renewal, %s left", remaining(leaf, s.Time)))
	}
	return checks
}

// restartFix returns the command that makes the replicas load the Secret, unless the API server
// would not trust its certificate.
func (s evaluation) restartFix(stored []*x509.Certificate) string {
	for _, c := range s.Configurations.Value {
		for _, h := range c.hooks {
			if roots, err := parseChain(h.ClientConfig.CABundle); err != nil || trusts(roots, stored, s.Time) != nil {
				return ""
			}
		}
	}
	return s.kubectl("rollout restart deployment/webhook")
}
