package certgen

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func data(i issuedCertificate) map[string][]byte { return i.data() }

func TestJudgeNamesTheProblem(t *testing.T) {
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
		"92 days left":               {data: data(fresh), now: noon.AddDate(1, 0, -92)},
		"90 days left":               {data: data(fresh), now: noon.AddDate(1, 0, -90), want: "the certificate expires soon, on 2027-03-01"},
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
			if err := judge(test.data, test.hosts, test.now); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJudgeAcceptsAWildcardHost(t *testing.T) {
	wildcard := []string{"*.ns.svc"}
	if err := judge(data(mustIssue(t, wildcard, noon)), wildcard, noon); err != nil {
		t.Error(err)
	}
}

func TestStagedCertificateIsPromoted(t *testing.T) {
	before, fresh := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	old := data(before)
	old["note"] = []byte("mine")
	staged := withCertificate(old, StagedPrefix, data(fresh))
	if diff := cmp.Diff(data(fresh), stagedData(staged)); diff != "" {
		t.Errorf("staged data (-want +got):\n%s", diff)
	}
	want := data(fresh)
	want["note"] = []byte("mine")
	if diff := cmp.Diff(want, promoted(staged)); diff != "" {
		t.Errorf("promoted data (-want +got):\n%s", diff)
	}
	if len(old) != 4 || len(staged) != 7 {
		t.Error("an argument has changed")
	}
}

func TestPublishedCAsAreThoseOfUsableCertificates(t *testing.T) {
	present, staged, foreign := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon), mustIssue(t, []string{"other"}, noon)
	garbage := map[string][]byte{"ca": []byte("x"), "cert": []byte("y"), "key": []byte("z")}
	for name, test := range map[string]struct {
		data map[string][]byte
		want []byte
	}{
		"present only":            {data(present), present.ca},
		"present and staged":      {withCertificate(data(present), StagedPrefix, data(staged)), append(bytes.Clone(present.ca), staged.ca...)},
		"staged only":             {withCertificate(nil, StagedPrefix, data(staged)), staged.ca},
		"of another installation": {data(foreign), nil},
		"garbage":                 {withCertificate(garbage, StagedPrefix, garbage), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := encodeCertificates(publishedCAs(test.data, hosts, noon)...)
			if diff := cmp.Diff(string(test.want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzSecret checks that no Secret makes certgen panic, and that a run always leaves a Secret with
// a valid or a staged certificate. Use -fuzzminimizetime=10x: by default, each seed takes a minute
// to minimize.
func FuzzSecret(f *testing.F) {
	fresh := mustIssue(f, hosts, noon)
	f.Add(fresh.ca, fresh.cert, fresh.key, true)
	f.Add(fresh.cert, fresh.ca, fresh.ca, false)
	f.Add(fresh.ca[:100], fresh.cert[100:], []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"), true)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte(nil), []byte("x"), false)
	f.Fuzz(func(t *testing.T, ca, cert, key []byte, running bool) {
		for _, prefix := range []string{"", StagedPrefix} {
			found := secret(withCertificate(nil, prefix, map[string][]byte{"ca": ca, "cert": cert, "key": key}))
			wanted, _, err := session{now: atNoon}.ensured(found, createTLS, running)
			if err != nil {
				t.Fatal(err)
			}
			if wanted == nil {
				wanted = found
			}
			if judge(wanted.Data, hosts, noon) != nil && judge(stagedData(wanted.Data), hosts, noon) != nil {
				t.Errorf("prefix %q: neither the certificate nor the staged one is valid", prefix)
			}
			publishedCAs(wanted.Data, hosts, noon)
		}
	})
}
