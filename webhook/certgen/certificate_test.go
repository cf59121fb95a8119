package certgen

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noon is the time at which the tests' certificates are issued.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var hosts = []string{"webhook", "webhook.ns.svc", "10.0.0.1"}

func mustIssue(t testing.TB, hosts []string, at time.Time) issued {
	t.Helper()
	fresh, err := issue(hosts, at)
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

func TestIssue(t *testing.T) {
	fresh := mustIssue(t, hosts, noon)
	ca, leaf := mustParse(t, fresh.ca)[0], mustParse(t, fresh.cert)[0]
	type facts struct {
		IsCA          bool
		Before, After time.Duration
		Names         []string
		Addresses     int
		Usage         x509.KeyUsage
		ExtUsage      []x509.ExtKeyUsage
	}
	read := func(c *x509.Certificate) facts {
		return facts{c.IsCA, noon.Sub(c.NotBefore), c.NotAfter.Sub(noon), c.DNSNames, len(c.IPAddresses), c.KeyUsage, c.ExtKeyUsage}
	}
	const year = 365 * 24 * time.Hour
	want := []facts{
		{IsCA: true, Before: time.Hour, After: 10 * year, Usage: x509.KeyUsageCertSign},
		{
			Before: time.Hour, After: year, Names: []string{"webhook", "webhook.ns.svc"}, Addresses: 1,
			Usage: x509.KeyUsageDigitalSignature, ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		},
	}
	if diff := cmp.Diff(want, []facts{read(ca), read(leaf)}); diff != "" {
		t.Error(diff)
	}
	for _, c := range []*x509.Certificate{ca, leaf} {
		if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("%s: key is %T", c.Subject, c.PublicKey)
		}
	}
	if len(ca.SubjectKeyId) == 0 || !bytes.Equal(ca.SubjectKeyId, leaf.AuthorityKeyId) {
		t.Error("the leaf does not name its CA's key")
	}
}

func TestIssueNeverRepeatsACA(t *testing.T) {
	first := mustParse(t, mustIssue(t, hosts, noon).ca)[0]
	second := mustParse(t, mustIssue(t, hosts, noon).ca)[0]
	if first.Subject.String() == second.Subject.String() || bytes.Equal(first.SubjectKeyId, second.SubjectKeyId) {
		t.Errorf("two CAs that a verifier cannot tell apart: %s", first.Subject)
	}
}

func TestWithEarlier(t *testing.T) {
	fresh, first, second, third := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon), mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	expired := mustIssue(t, hosts, noon.AddDate(-11, 0, 0))
	future := mustIssue(t, hosts, noon.AddDate(1, 0, 0))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, test := range map[string]struct{ old, want []byte }{
		"nothing before":           {nil, fresh.ca},
		"the CA before":            {first.ca, join(fresh.ca, first.ca)},
		"not the new one twice":    {join(fresh.ca, first.ca), join(fresh.ca, first.ca)},
		"at most two":              {join(first.ca, second.ca, third.ca), join(fresh.ca, first.ca, second.ca)},
		"not one that has expired": {join(expired.ca, first.ca), join(fresh.ca, first.ca)},
		"not one yet to come":      {future.ca, fresh.ca},
		"not a server certificate": {join(first.cert, first.ca), join(fresh.ca, first.ca)},
		"not a key":                {join(first.key, first.ca), join(fresh.ca, first.ca)},
		"not what is unreadable":   {join([]byte("junk\n"), first.ca, []byte("more")), join(fresh.ca, first.ca)},
	} {
		t.Run(name, func(t *testing.T) {
			got := withEarlier(bytes.Clone(fresh.ca), test.old, noon)
			if diff := cmp.Diff(string(test.want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBothCertificatesVerifyDuringRotation(t *testing.T) {
	before, after := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	roots := pool(mustParse(t, withEarlier(after.ca, before.ca, noon)))
	for _, served := range [][]byte{before.cert, after.cert} {
		_, err := mustParse(t, served)[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: "webhook.ns.svc", CurrentTime: noon})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestParseCertificatesRefuses(t *testing.T) {
	fresh := mustIssue(t, hosts, noon)
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":          {nil, "no certificate"},
		"blanks":           {[]byte(" \n"), "no certificate"},
		"text":             {[]byte("hello"), "text that is not PEM"},
		"text behind":      {append(bytes.Clone(fresh.ca), "hello"...), "text that is not PEM"},
		"a private key":    {append(bytes.Clone(fresh.ca), fresh.key...), `a PEM block "PRIVATE KEY" where only certificates may be`},
		"no certificate":   {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "x509: malformed certificate"},
		"half a PEM block": {fresh.ca[:len(fresh.ca)/2], "text that is not PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseCertificates(test.data)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
