package status

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"github.com/image-webhook/image-webhook/webhook/certgen"
)

// isDue reports whether the next run of the CronJob renews the certificate.
func isDue(leaf *x509.Certificate, now time.Time) bool { return now.After(certgen.RenewalTime(leaf)) }

func remaining(leaf *x509.Certificate, now time.Time) string { return span(leaf.NotAfter.Sub(now)) }

// span returns a duration as users say it.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return count(int(d/day), "day")
	case d >= 2*time.Hour:
		return count(int(d/time.Hour), "hour")
	case d >= 2*time.Minute:
		return count(int(d/time.Minute), "minute")
	}
	return count(int(d/time.Second), "second")
}

// parseChain returns all certificates of PEM data, at least one.
func parseChain(data []byte) (chain []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, certificate)
	}
	if len(chain) == 0 {
		return nil, errors.New("it contains no certificate in PEM")
	}
	return chain, nil
}

// trusts returns an error unless one of the roots has issued the first certificate of the chain.
// It ignores whether that certificate has expired, which another check reports.
func trusts(roots, chain []*x509.Certificate, now time.Time) error {
	leaf := chain[0]
	switch {
	case now.After(leaf.NotAfter):
		now = leaf.NotAfter
	case now.Before(leaf.NotBefore):
		now = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: certgen.NewPool(roots), Intermediates: certgen.NewPool(chain[1:]), CurrentTime: now})
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		return errors.New("it is issued by another CA") // without the CAs that x509 has tried
	}
	return err
}
