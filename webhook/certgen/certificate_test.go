package certgen

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noon is when most certificates in the tests are issued.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var hosts = []string{"webhook", "webhook.ns.svc", "10.0.0.1"}

func mustIssue(t testing.TB, hosts []string, now time.Time) issuedCertificate {
	t.Helper()
	fresh, err := issue(hosts, defaultValidity, now)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func mustParse(t testing.TB, data []byte) []*x509.Certificate {
	t.Helper()
	certificates, err := parseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	return certificates
}

func TestIssueReturnsCAAndLeaf(t *testing.T) {
	fresh := mustIssue(t, hosts, noon)
	ca, leaf := mustParse(t, fresh.ca)[0], mustParse(t, fresh.cert)[0]
	type fields struct {
		IsCA          bool
		Before, After time.Duration
		Names         []string
		Addresses     int
		Usage         x509.KeyUsage
		ExtUsage      []x509.ExtKeyUsage
	}
	fieldsOf := func(c *x509.Certificate) fields {
		return fields{c.IsCA, noon.Sub(c.NotBefore), c.NotAfter.Sub(noon), c.DNSNames, len(c.IPAddresses), c.KeyUsage, c.ExtKeyUsage}
	}
	const year = 365 * 24 * time.Hour
	want := []fields{
		{IsCA: true, Before: clockSkew, After: 10 * year, Usage: x509.KeyUsageCertSign},
		{
			Before: clockSkew, After: year, Names: []string{"webhook", "webhook.ns.svc"}, Addresses: 1,
			Usage: x509.KeyUsageDigitalSignature, ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		},
	}
	if diff := cmp.Diff(want, []fields{fieldsOf(ca), fieldsOf(leaf)}); diff != "" {
		t.Error(diff)
	}
	for _, c := range []*x509.Certificate{ca, leaf} {
		if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("%s: got a key of type %T, want ECDSA P-256", c.Subject, c.PublicKey)
		}
	}
	if len(ca.SubjectKeyId) == 0 || !bytes.Equal(ca.SubjectKeyId, leaf.AuthorityKeyId) {
		t.Error("the AuthorityKeyId of the leaf is not the SubjectKeyId of the CA")
	}
}

func TestIssueNeverRepeatsACA(t *testing.T) {
	first := mustParse(t, mustIssue(t, hosts, noon).ca)[0]
	second := mustParse(t, mustIssue(t, hosts, noon).ca)[0]
	if first.Subject.String() == second.Subject.String() || bytes.Equal(first.SubjectKeyId, second.SubjectKeyId) {
		t.Errorf("two CAs share a subject or a key: %s", first.Subject)
	}
}

func TestRenewalIsDueWhenAQuarterIsLeft(t *testing.T) {
	for _, validity := range []time.Duration{defaultValidity, 10 * time.Minute} {
		fresh, err := issue(hosts, validity, noon)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(noon.Add(validity/4*3), RenewalTime(mustParse(t, fresh.cert)[0])); diff != "" {
			t.Errorf("validity %s: %s", validity, diff)
		}
	}
}
