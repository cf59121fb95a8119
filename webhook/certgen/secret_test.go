package certgen

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func data(i issued) map[string][]byte {
	return map[string][]byte{"ca": i.ca, "cert": i.cert, "key": i.key}
}

func TestAssess(t *testing.T) {
	fresh, other := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	with := func(key string, value []byte) map[string][]byte {
		d := data(fresh)
		d[key] = value
		return d
	}
	for name, test := range map[string]struct {
		data  map[string][]byte
		hosts []string
		at    time.Time
		want  string
	}{
		"fresh":                 {data: data(fresh)},
		"fewer hosts asked":     {data: data(fresh), hosts: []string{"webhook"}},
		"bundle with both":      {data: with("ca", append(bytes.Clone(other.ca), fresh.ca...))},
		"91 days left":          {data: data(fresh), at: noon.AddDate(1, 0, -91)},
		"89 days left":          {data: data(fresh), at: noon.AddDate(1, 0, -89), want: "the certificate expires soon, on 2027-03-01"},
		"expired":               {data: data(fresh), at: noon.AddDate(1, 0, 1), want: "the certificate expired on 2027-03-01"},
		"not yet valid":         {data: data(fresh), at: noon.AddDate(0, 0, -1), want: "the certificate is not valid before 2026-03-01"},
		"no data":               {data: nil, want: `key "ca" is missing`},
		"no ca":                 {data: with("ca", nil), want: `key "ca" is missing`},
		"no cert":               {data: with("cert", nil), want: `key "cert" is missing`},
		"no key":                {data: with("key", nil), want: `key "key" is missing`},
		"junk for a ca":         {data: with("ca", []byte("x")), want: `key "ca" is unreadable: text that is not PEM`},
		"junk for a cert":       {data: with("cert", []byte("x")), want: `key "cert" is unreadable: text that is not PEM`},
		"junk for a key":        {data: with("key", []byte("x")), want: `keys "cert" and "key" are no pair: tls: failed to find any PEM data in key input`},
		"another's key":         {data: with("key", other.key), want: `keys "cert" and "key" are no pair: tls: private key does not match public key`},
		"another's ca":          {data: with("ca", other.ca), want: `the certificate does not verify under key "ca": x509: certificate signed by unknown authority`},
		"a host is lacking":     {data: data(fresh), hosts: []string{"webhook", "new.ns.svc"}, want: "the certificate is not for host new.ns.svc"},
		"an IP is lacking":      {data: data(fresh), hosts: []string{"10.0.0.2"}, want: "the certificate is not for host 10.0.0.2"},
		"a wildcard is lacking": {data: data(fresh), hosts: []string{"*.ns.svc"}, want: "the certificate is not for host *.ns.svc"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.hosts == nil {
				test.hosts = hosts
			}
			if test.at.IsZero() {
				test.at = noon
			}
			got := ""
			if err := assess(test.data, test.hosts, test.at); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAssessWildcardHost(t *testing.T) {
	asked := []string{"*.ns.svc"}
	if err := assess(data(mustIssue(t, asked, noon)), asked, noon); err != nil {
		t.Error(err)
	}
}

func TestRepairedKeepsOtherKeysAndTheOldCA(t *testing.T) {
	before, fresh := mustIssue(t, hosts, noon), mustIssue(t, hosts, noon)
	old := data(before)
	old["note"] = []byte("mine")
	want := data(fresh)
	want["ca"] = append(bytes.Clone(fresh.ca), before.ca...)
	want["note"] = []byte("mine")
	if diff := cmp.Diff(want, repaired(old, fresh, noon)); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(old["ca"], before.ca) {
		t.Error("the data found was changed")
	}
}

// FuzzAssess proves that no Secret can make certgen panic, and that what a
// repair writes over it is sound. Give -fuzzminimizetime=10x with -fuzz: seeds
// as long as certificates take the default minute each to be made shorter.
func FuzzAssess(f *testing.F) {
	fresh := mustIssue(f, hosts, noon)
	f.Add(fresh.ca, fresh.cert, fresh.key)
	f.Add(fresh.cert, fresh.ca, fresh.ca)
	f.Add(fresh.ca[:100], fresh.cert[100:], []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte(nil), []byte("x"))
	f.Fuzz(func(t *testing.T, ca, cert, key []byte) {
		found := map[string][]byte{"ca": ca, "cert": cert, "key": key}
		if assess(found, hosts, noon) == nil {
			return
		}
		if err := assess(repaired(found, fresh, noon), hosts, noon); err != nil {
			t.Errorf("repaired, but: %v", err)
		}
	})
}
