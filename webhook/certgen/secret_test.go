package certgen

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func data(i issuedCertificate) map[string][]byte {
	return map[string][]byte{"ca": i.ca, "cert": i.cert, "key": i.key}
}

func TestValidateNamesTheProblem(t *testing.T) {
	fresh, other := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	replace := func(key string, value []byte) map[string][]byte {
		d := data(fresh)
		d[key] = value
		return d
	}
	for name, test := range map[string]struct {
		data  map[string][]byte
		hosts []string
		now   time.Time
		want  string // the error; empty: none
	}{
		"new certificate":            {data: data(fresh)},
		"fewer hosts requested":      {data: data(fresh), hosts: []string{"webhook"}},
		"bundle of two CAs":          {data: replace("ca", append(bytes.Clone(other.ca), fresh.ca...))},
		"91 days left":               {data: data(fresh), now: noon.AddDate(1, 0, -91)},
		"89 days left":               {data: data(fresh), now: noon.AddDate(1, 0, -89), want: "the certificate expires soon, on 2027-03-01"},
		"expired":                    {data: data(fresh), now: noon.AddDate(1, 0, 1), want: "the certificate expired on 2027-03-01"},
		"not yet valid":              {data: data(fresh), now: noon.AddDate(0, 0, -1), want: "the certificate is not valid before 2026-03-01"},
		"no data":                    {data: nil, want: `key "ca" is missing`},
		"no ca":                      {data: replace("ca", nil), want: `key "ca" is missing`},
		"no cert":                    {data: replace("cert", nil), want: `key "cert" is missing`},
		"no key":                     {data: replace("key", nil), want: `key "key" is missing`},
		"invalid ca":                 {data: replace("ca", []byte("x")), want: `key "ca" is invalid: text that is not PEM`},
		"invalid cert":               {data: replace("cert", []byte("x")), want: `key "cert" is invalid: text that is not PEM`},
		"invalid key":                {data: replace("key", []byte("x")), want: `keys "cert" and "key" are not a valid pair: tls: failed to find any PEM data in key input`},
		"key of another certificate": {data: replace("key", other.key), want: `keys "cert" and "key" are not a valid pair: tls: private key does not match public key`},
		"ca of another certificate":  {data: replace("ca", other.ca), want: `the certificate cannot be verified with the CAs in key "ca": x509: certificate signed by unknown authority`},
		"missing DNS name":           {data: data(fresh), hosts: []string{"webhook", "new.ns.svc"}, want: `the certificate is not valid for host "new.ns.svc"`},
		"missing IP address":         {data: data(fresh), hosts: []string{"10.0.0.2"}, want: `the certificate is not valid for host "10.0.0.2"`},
		"missing wildcard":           {data: data(fresh), hosts: []string{"*.ns.svc"}, want: `the certificate is not valid for host "*.ns.svc"`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.hosts == nil {
				test.hosts = hosts
			}
			if test.now.IsZero() {
				test.now = noon
			}
			got := ""
			if err := validate(test.data, test.hosts, test.now); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidateAcceptsAWildcardHost(t *testing.T) {
	wildcard := []string{"*.ns.svc"}
	if err := validate(data(mustIssue(t, wildcard, noon)), wildcard, noon); err != nil {
		t.Error(err)
	}
}

func TestRepairedDataKeepsOtherKeysAndTheOldCA(t *testing.T) {
	before, fresh := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	old := data(before)
	old["note"] = []byte("mine")
	want := data(fresh)
	want["ca"] = append(bytes.Clone(fresh.ca), before.ca...)
	want["note"] = []byte("mine")
	if diff := cmp.Diff(want, repairedData(old, fresh, noon)); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(old["ca"], before.ca) {
		t.Error("repairedData changed its argument")
	}
}

// FuzzValidate checks that no Secret makes certgen panic, and that repaired data is always
// valid. Use -fuzzminimizetime=10x: by default, each seed takes a minute to minimize.
func FuzzValidate(f *testing.F) {
	fresh := mustIssue(f, hosts, noon)
	f.Add(fresh.ca, fresh.cert, fresh.key)
	f.Add(fresh.cert, fresh.ca, fresh.ca)
	f.Add(fresh.ca[:100], fresh.cert[100:], []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte(nil), []byte("x"))
	f.Fuzz(func(t *testing.T, ca, cert, key []byte) {
		found := map[string][]byte{"ca": ca, "cert": cert, "key": key}
		if validate(found, hosts, noon) == nil {
			return
		}
		if err := validate(repairedData(found, fresh, noon), hosts, noon); err != nil {
			t.Errorf("repaired data is invalid: %v", err)
		}
	})
}
