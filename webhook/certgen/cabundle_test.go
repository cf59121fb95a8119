package certgen

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMergeBundleKeepsValidCAs(t *testing.T) {
	fresh, first, second, third := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon), mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	expired := mustIssue(t, hosts, noon.AddDate(-11, 0, 0))
	future := mustIssue(t, hosts, noon.AddDate(1, 0, 0))
	join := func(bundles ...[]byte) []byte { return bytes.Join(bundles, nil) }
	for name, test := range map[string]struct{ old, want []byte }{
		"no old bundle":               {nil, fresh.ca},
		"an earlier CA":               {first.ca, join(fresh.ca, first.ca)},
		"the new CA only once":        {join(fresh.ca, first.ca), join(fresh.ca, first.ca)},
		"all earlier CAs":             {join(first.ca, second.ca, third.ca), join(fresh.ca, first.ca, second.ca, third.ca)},
		"no expired CA":               {join(expired.ca, first.ca), join(fresh.ca, first.ca)},
		"no CA that is not valid yet": {future.ca, fresh.ca},
		"no server certificate":       {join(first.cert, first.ca), join(fresh.ca, first.ca)},
		"no private key":              {join(first.key, first.ca), join(fresh.ca, first.ca)},
		"no text":                     {join([]byte("junk\n"), first.ca, []byte("more")), join(fresh.ca, first.ca)},
	} {
		t.Run(name, func(t *testing.T) {
			got := mergeBundle(mustParse(t, fresh.ca), test.old, keepAll, noon)
			if diff := cmp.Diff(string(test.want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBothCertificatesVerifyDuringRotation(t *testing.T) {
	before, after := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	roots := NewPool(mustParse(t, mergeBundle(mustParse(t, after.ca), before.ca, keepAll, noon)))
	for _, served := range [][]byte{before.cert, after.cert} {
		_, err := mustParse(t, served)[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: "webhook.ns.svc", CurrentTime: noon})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestMergeBundleKeepsOnlyNeededCAs(t *testing.T) {
	fresh, used, unused := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	s := session{now: atNoon}
	keep := s.neededBy([][]*x509.Certificate{mustParse(t, used.cert)})
	got := mergeBundle(mustParse(t, fresh.ca), bytes.Join([][]byte{unused.ca, used.ca}, nil), keep, noon)
	if diff := cmp.Diff(string(fresh.ca)+string(used.ca), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestParseCertificatesRejectsEverythingElse(t *testing.T) {
	fresh := mustIssue(t, hosts, noon)
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                    {nil, "no certificate"},
		"blanks":                   {[]byte(" \n"), "no certificate"},
		"text":                     {[]byte("hello"), "text that is not PEM"},
		"text after a certificate": {append(bytes.Clone(fresh.ca), "hello"...), "text that is not PEM"},
		"a private key":            {append(bytes.Clone(fresh.ca), fresh.key...), `unexpected PEM block "PRIVATE KEY": only certificates are allowed`},
		"invalid certificate":      {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "x509: malformed certificate"},
		"truncated PEM block":      {fresh.ca[:len(fresh.ca)/2], "text that is not PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseCertificates(test.data)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %s", err, test.want)
			}
		})
	}
}
