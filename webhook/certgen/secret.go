package certgen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"time"
)

// caKey, certKey and keyKey are the keys of the Secret. kube-webhook-certgen uses the same.
const (
	caKey   = "ca"
	certKey = "cert"
	keyKey  = "key"
)

// StagedPrefix is the prefix of the same keys for a staged certificate: one that the API servers
// do not trust yet, and that no server uses.
const StagedPrefix = "next-"

// RenewAnnotation on the Secret requests a new certificate, such as after its key has leaked.
const RenewAnnotation = "image-webhook.dev/renew"

// checkUsable returns the first problem for which the data could not be served for the hosts
// now, or nil.
func checkUsable(data map[string][]byte, hosts []string, now time.Time) error {
	_, err := parseUsable(data, hosts, now)
	return err
}

// judge is like checkUsable, but a certificate that is due is a problem, too.
func judge(data map[string][]byte, hosts []string, now time.Time) error {
	chain, err := parseUsable(data, hosts, now)
	if err != nil {
		return err
	}
	due := RenewalTime(chain[0])
	for _, root := range parseValid(data[caKey]) {
		if signs(root, chain, now) && root.NotAfter.Before(due) {
			due = root.NotAfter
		}
	}
	if now.After(due) {
		return fmt.Errorf("the certificate expires soon, on %s", date(chain[0].NotAfter))
	}
	return nil
}

// parseUsable returns the certificate chain of the data, or the first problem.
func parseUsable(data map[string][]byte, hosts []string, now time.Time) ([]*x509.Certificate, error) {
	for _, key := range []string{caKey, certKey, keyKey} {
		if len(data[key]) == 0 {
			return nil, fmt.Errorf("key %q is missing", key)
		}
	}
	roots, err := parseCertificates(data[caKey])
	if err != nil {
		return nil, fmt.Errorf("key %q is invalid: %w", caKey, err)
	}
	chain, err := parseCertificates(data[certKey])
	if err != nil {
		return nil, fmt.Errorf("key %q is invalid: %w", certKey, err)
	}
	if _, err := tls.X509KeyPair(data[certKey], data[keyKey]); err != nil {
		return nil, fmt.Errorf("keys %q and %q are not a valid pair: %w", certKey, keyKey, err)
	}
	return chain, checkChain(chain, roots, hosts, now)
}

func checkChain(chain, roots []*x509.Certificate, hosts []string, now time.Time) error {
	leaf := chain[0]
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", date(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate expired on %s", date(leaf.NotAfter))
	}
	options := x509.VerifyOptions{Roots: NewPool(roots), Intermediates: NewPool(chain[1:]), CurrentTime: now}
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

// stagedData returns the staged certificate of the data under the keys ca, cert and key.
func stagedData(data map[string][]byte) map[string][]byte {
	return map[string][]byte{
		caKey: data[StagedPrefix+caKey], certKey: data[StagedPrefix+certKey], keyKey: data[StagedPrefix+keyKey],
	}
}

// withCertificate returns the data with a new certificate under the keys with a prefix. It keeps
// all other keys.
func withCertificate(data map[string][]byte, prefix string, certificate map[string][]byte) map[string][]byte {
	result := map[string][]byte{}
	maps.Copy(result, data)
	for _, key := range []string{caKey, certKey, keyKey} {
		result[prefix+key] = certificate[key]
	}
	return result
}

// promoted returns the data with the staged certificate in the place of the present one.
func promoted(data map[string][]byte) map[string][]byte {
	result := withCertificate(data, "", stagedData(data))
	for _, key := range []string{caKey, certKey, keyKey} {
		delete(result, StagedPrefix+key)
	}
	return result
}

// publishedCAs returns the CAs that the API servers must trust: those of the certificate, and of
// the staged one. It skips a certificate that is not usable for the hosts.
func publishedCAs(data map[string][]byte, hosts []string, now time.Time) []*x509.Certificate {
	var cas []*x509.Certificate
	for _, d := range []map[string][]byte{data, stagedData(data)} {
		if checkUsable(d, hosts, now) == nil {
			cas = append(cas, parseValid(d[caKey])...)
		}
	}
	return cas
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
