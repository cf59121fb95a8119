package status

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/certgen"
)

// caBundle checks for each webhook whether the API server can verify the certificates that the
// replicas serve, and that of the Secret, which they load next.
func caBundle(s evaluation) (checks []Check) {
	hooks := 0
	for _, c := range s.Configurations.Value {
		byComplaint := map[complaint][]string{} // names of webhooks
		for _, h := range c.hooks {
			if !calls(h, s.Namespace, workload) {
				continue // registration reports it
			}
			hooks++
			if found := s.bundleComplaint(c, h.ClientConfig.CABundle); found != (complaint{}) {
				byComplaint[found] = append(byComplaint[found], h.Name)
			}
		}
		for _, found := range slices.SortedFunc(maps.Keys(byComplaint), complaint.compare) {
			checks = append(checks, found.check(c.object(), hookNames(byComplaint[found])))
		}
	}
	switch {
	case len(checks) > 0 || hooks == 0:
		return checks
	case len(s.presented()) == 0:
		return []Check{checkCABundle.unread("", errors.New("there is no certificate to compare the caBundles with"))}
	}
	return []Check{checkCABundle.ok("", "%s trust %s", count(hooks, "webhook"), s.presenters())}
}

// complaint is what is wrong with a caBundle, and the command that fixes it.
type complaint struct {
	text, fix string
	harmless  bool // the API server can call the webhook
}

func (c complaint) check(object, hooks string) Check {
	if c.harmless {
		return checkCABundle.warning(object, c.fix, "%s: %s", hooks, c.text)
	}
	return checkCABundle.problem(object, c.fix, "%s: %s", hooks, c.text)
}

func (c complaint) compare(other complaint) int { return strings.Compare(c.text, other.text) }

// bundleComplaint returns what is wrong with a caBundle of a configuration, or nothing.
func (s evaluation) bundleComplaint(c configuration, bundle []byte) complaint {
	if len(bundle) == 0 {
		return complaint{text: "caBundle is missing: the API server cannot call the webhook", fix: s.bundleFix(c)}
	}
	roots, err := parseChain(bundle)
	if err != nil {
		return complaint{text: "caBundle is invalid: " + err.Error(), fix: s.bundleFix(c)}
	}
	distrusted := s.distrusted(roots)
	text := "caBundle does not trust the certificate of " + strings.Join(distrusted, " and of ")
	switch {
	case len(distrusted) == 0:
		return s.surplusComplaint(roots)
	case s.secretChain() != nil && !slices.Contains(distrusted, secretObject):
		return complaint{text: text, fix: s.kubectl("rollout restart deployment/webhook")} // the replica has an old certificate
	}
	return complaint{text: text, fix: s.bundleFix(c)}
}

// surplusComplaint reports CAs that have issued no certificate of the installation. Their owners
// could answer the API server in place of the webhook.
func (s evaluation) surplusComplaint(roots []*x509.Certificate) complaint {
	chains := slices.Collect(maps.Values(s.presented()))
	if s.secretChain() == nil || len(chains) <= len(s.Served) {
		return complaint{} // a certificate is unknown
	}
	if next, err := parseChain(s.Secret.Value.Data[certgen.StagedPrefix+certKey]); err == nil {
		chains = append(chains, next)
	}
	surplus := 0
	for _, root := range roots {
		issued := func(chain []*x509.Certificate) bool { return trusts([]*x509.Certificate{root}, chain, s.Time) == nil }
		if !slices.ContainsFunc(chains, issued) {
			surplus++
		}
	}
	if surplus == 0 {
		return complaint{}
	}
	return complaint{text: fmt.Sprintf("caBundle also trusts %s that no replica needs: the next run of the CronJob removes it", count(surplus, "CA")), fix: s.renewNow(), harmless: true}
}

// distrusted returns the objects whose certificates are not issued by the roots.
func (s evaluation) distrusted(roots []*x509.Certificate) (objects []string) {
	for object, chain := range s.presented() {
		if trusts(roots, chain, s.Time) != nil {
			objects = append(objects, object)
		}
	}
	return sorted(objects)
}

// bundleFix returns the command that adds the CA to the caBundles of a configuration.
func (s evaluation) bundleFix(c configuration) string {
	if s.CronJob.Err == nil {
		return s.renewNow()
	} else if _, isOwner := find(s.want.owner, c.object()); isOwner {
		return rerun(ownerDirectory + patchManifest)
	}
	return rerun(s.installed.manifest(patchManifest))
}

// presented returns the certificate chains that the API server sees now or soon, by object.
func (s evaluation) presented() map[string][]*x509.Certificate {
	chains := map[string][]*x509.Certificate{}
	for pod, chain := range s.Served {
		if chain.Err == nil {
			chains["pod/"+pod] = chain.Value
		}
	}
	if chain := s.secretChain(); chain != nil {
		chains[secretObject] = chain
	}
	return chains
}

// presenters describes the objects of presented.
func (s evaluation) presenters() string {
	all := len(s.presented())
	switch {
	case s.secretChain() == nil:
		return "the certificates of " + count(all, "replica")
	case all == 1:
		return "the certificate of the Secret"
	}
	return fmt.Sprintf("the certificates of %s and of the Secret", count(all-1, "replica"))
}
