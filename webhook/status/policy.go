package status

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/image-webhook/image-webhook/webhook/certgen"
)

const denying = "validating.image-webhook.dev" // the only webhook that denies

// failurePolicy checks that the webhook that denies is on Fail, and all others on Ignore.
func failurePolicy(s evaluation) (checks []Check) {
	hooks := 0
	for _, c := range s.Configurations.Value {
		for _, h := range c.hooks {
			hooks++
			if h.Name == denying && s.installed.hybrid {
				continue // registration reports it
			}
			if h.Name == denying {
				checks = append(checks, s.denyingPolicy(c, *h.FailurePolicy)...)
			} else if *h.FailurePolicy == admissionregistrationv1.Fail {
				checks = append(checks, s.otherPolicy(c, h.Name))
			}
		}
	}
	if len(checks) > 0 || hooks == 0 {
		return checks
	}
	if s.installed.hybrid {
		return []Check{checkFailurePolicy.ok("", "all webhooks are on Ignore, so no request needs a replica")}
	}
	return []Check{checkFailurePolicy.ok("", "%s is on Fail, all other webhooks are on Ignore", denying)}
}

func (s evaluation) denyingPolicy(c configuration, found admissionregistrationv1.FailurePolicyType) []Check {
	const ignored = denying + " is on Ignore: disallowed images are admitted while no replica answers; "
	kept := c.annotations[certgen.PolicyAnnotation]
	switch {
	case found == admissionregistrationv1.Fail && kept == string(admissionregistrationv1.Ignore):
		return []Check{checkFailurePolicy.warning(c.object(), rerun(patchManifest), "%s is on Fail, although the annotation %s says Ignore", denying, certgen.PolicyAnnotation)}
	case found == admissionregistrationv1.Fail:
		return nil
	case kept == string(admissionregistrationv1.Ignore):
		return []Check{checkFailurePolicy.warning(c.object(), rerun(patchManifest), ignored+"the annotation %s says that this is intended", certgen.PolicyAnnotation)}
	case kept == string(admissionregistrationv1.Fail):
		return []Check{checkFailurePolicy.problem(c.object(), s.renewNow(), ignored+"it was on Fail before")}
	}
	return []Check{checkFailurePolicy.problem(c.object(), rerun(patchManifest), ignored+"it was never set to Fail")}
}

// otherPolicy reports a webhook that must not block requests.
func (s evaluation) otherPolicy(c configuration, name string) Check {
	fix := "kubectl edit " + c.object()
	if _, ok := find(s.want.configurations, c.object()); ok {
		fix = s.installed.comparison().apply + " && " + s.installed.comparison().patch
	} else if _, ok := find(s.want.owner, c.object()); ok {
		fix = apply(ownerDirectory + registerManifest)
	}
	return checkFailurePolicy.problem(c.object(), fix, "%s is on Fail instead of Ignore: requests are rejected while no replica answers", name)
}
