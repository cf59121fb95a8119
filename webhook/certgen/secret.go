package certgen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// caKey, certKey and keyKey are the keys of the Secret. kube-webhook-certgen uses the same.
const (
	caKey   = "ca"
	certKey = "cert"
	keyKey  = "key"
)

// validate returns the first problem of a Secret's data, or nil if the data is valid
// for the hosts. A certificate that expires within renewBefore is a problem, so that
// a regular run of create renews it in time.
func validate(data map[string][]byte, hosts []string, now time.Time) error {
	for _, key := range []string{caKey, certKey, keyKey} {
		if len(data[key]) == 0 {
			return fmt.Errorf("key %q is missing", key)
		}
	}
	roots, err := parseCertificates(data[caKey])
	if err != nil {
		return fmt.Errorf("key %q is invalid: %w", caKey, err)
	}
	chain, err := parseCertificates(data[certKey])
	if err != nil {
		return fmt.Errorf("key %q is invalid: %w", certKey, err)
	}
	if _, err := tls.X509KeyPair(data[certKey], data[keyKey]); err != nil {
		return fmt.Errorf("keys %q and %q are not a valid pair: %w", certKey, keyKey, err)
	}
	return validateChain(chain, roots, hosts, now)
}

func validateChain(chain, roots []*x509.Certificate, hosts []string, now time.Time) error {
	leaf := chain[0]
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", date(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate expired on %s", date(leaf.NotAfter))
	case now.Add(renewBefore).After(leaf.NotAfter):
		return fmt.Errorf("the certificate expires soon, on %s", date(leaf.NotAfter))
	}
	// Verify at the end of renewBefore, to detect a CA that expires soon.
	options := x509.VerifyOptions{Roots: newPool(roots), Intermediates: newPool(chain[1:]), CurrentTime: now.Add(renewBefore)}
	if _, err := leaf.Verify(options); err != nil {
		return fmt.Errorf("the certificate cannot be verified with the CAs in key %q: %w", caKey, err)
	}
	for _, host := range hosts {
		if leaf.VerifyHostname(host) != nil {
			return fmt.Errorf("the certificate is not valid for host %q", host)
		}
	}
	return nil
}

// repairedData returns the data with new values for ca, cert and key. It keeps all
// other keys.
func repairedData(data map[string][]byte, fresh issuedCertificate, now time.Time) map[string][]byte {
	result := map[string][]byte{}
	for key, value := range data {
		result[key] = value
	}
	result[caKey] = appendEarlierCAs(fresh.ca, data[caKey], now)
	result[certKey] = fresh.cert
	result[keyKey] = fresh.key
	return result
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
