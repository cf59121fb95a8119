package certgen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// The keys of the Secret, as the retired tool named them.
const (
	caKey   = "ca"
	certKey = "cert"
	keyKey  = "key"
)

// assess says what is wrong with the data of a Secret for these hosts at this
// time; nil means sound. A certificate that ends within renewBefore is wrong
// already: that is what makes running create again now and then worth while.
func assess(data map[string][]byte, hosts []string, now time.Time) error {
	for _, key := range []string{caKey, certKey, keyKey} {
		if len(data[key]) == 0 {
			return fmt.Errorf("key %q is missing", key)
		}
	}
	roots, err := parseCertificates(data[caKey])
	if err != nil {
		return fmt.Errorf("key %q is unreadable: %w", caKey, err)
	}
	chain, err := parseCertificates(data[certKey])
	if err != nil {
		return fmt.Errorf("key %q is unreadable: %w", certKey, err)
	}
	if _, err := tls.X509KeyPair(data[certKey], data[keyKey]); err != nil {
		return fmt.Errorf("keys %q and %q are no pair: %w", certKey, keyKey, err)
	}
	return assessChain(chain, roots, hosts, now)
}

func assessChain(chain, roots []*x509.Certificate, hosts []string, now time.Time) error {
	leaf := chain[0]
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", day(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate expired on %s", day(leaf.NotAfter))
	case now.Add(renewBefore).After(leaf.NotAfter):
		return fmt.Errorf("the certificate expires soon, on %s", day(leaf.NotAfter))
	}
	// At the end of the time of grace, so that a CA about to expire counts too.
	options := x509.VerifyOptions{Roots: pool(roots), Intermediates: pool(chain[1:]), CurrentTime: now.Add(renewBefore)}
	if _, err := leaf.Verify(options); err != nil {
		return fmt.Errorf("the certificate does not verify under key %q: %w", caKey, err)
	}
	for _, host := range hosts {
		if leaf.VerifyHostname(host) != nil {
			return fmt.Errorf("the certificate is not for host %s", host)
		}
	}
	return nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certificates {
		p.AddCert(c)
	}
	return p
}

// repaired returns the data with ca, cert and key replaced; other keys stay.
func repaired(data map[string][]byte, fresh issued, now time.Time) map[string][]byte {
	result := map[string][]byte{}
	for key, value := range data {
		result[key] = value
	}
	result[caKey] = withEarlier(fresh.ca, data[caKey], now)
	result[certKey] = fresh.cert
	result[keyKey] = fresh.key
	return result
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
