package server

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// bundle is some CAs.
type bundle struct {
	cas  []*x509.Certificate
	pool *x509.CertPool
}

// parseBundle reads the certificates of a text in PEM, of which there must be
// some. The error continues a sentence about the text.
func parseBundle(text string) (bundle, error) {
	cas, err := parseCertificates(text)
	if err != nil {
		return bundle{}, err
	}
	if len(cas) == 0 {
		return bundle{}, errors.New("has no certificate")
	}
	b := bundle{cas, x509.NewCertPool()}
	for _, ca := range cas {
		b.pool.AddCert(ca)
	}
	return b, nil
}

// certificateType is the type of the PEM blocks that are certificates.
const certificateType = "CERTIFICATE"

// parseCertificates reads all certificates of a text or none: a CA must not be
// lost because the text is cut off.
func parseCertificates(text string) (certs []*x509.Certificate, err error) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certificateType {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("has a certificate that cannot be read: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) < strings.Count(text, "-----BEGIN "+certificateType+"-----") {
		return nil, errors.New("has a certificate that is not whole")
	}
	return certs, nil
}

// size is what the log says of a bundle.
func (b bundle) size() slog.Attr { return slog.Int("certificates", len(b.cas)) }

// holds reports whether a chain that once led to a CA of the bundle still does.
func (b bundle) holds(chain []*x509.Certificate, now time.Time) bool {
	return now.Before(chain[0].NotAfter) && slices.ContainsFunc(b.cas, chain[len(chain)-1].Equal)
}
