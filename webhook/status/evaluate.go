package status

import (
	"errors"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/image-webhook/image-webhook/deploy"
)

// Evaluate does all checks. It returns only the first one if the API server does not answer, and
// only the first two if nothing is installed.
func Evaluate(snapshot Snapshot) Report {
	checks := []Check{apiServer(snapshot)}
	if checks[0].Result == OK {
		s := evaluation{Snapshot: snapshot, want: manifests(snapshot.Namespace)}
		s.installed, s.differences = s.installedVariant()
		checks = append(checks, s.namespace())
		for _, c := range s.possible() {
			checks = append(checks, c(s)...)
		}
	}
	return newReport(checks)
}

// possible returns the checks of what is installed. If several checks need an object that cannot be
// read, only the first one reports it.
func (s evaluation) possible() (checks []func(evaluation) []Check) {
	if s.isNotInstalled() || s.calledNamespace() != s.Namespace {
		return nil
	}
	if !s.Own.missing() {
		checks = append(checks, replicas, versions, priority, service, endpoints, externalIPs, certificate, served, renewal, policyFile)
	}
	return append(checks, registration, caBundle, failurePolicy, modes, access)
}

// isNotInstalled reports whether neither the namespace nor a configuration exists.
func (s evaluation) isNotInstalled() bool {
	return s.Own.missing() && s.Configurations.Err == nil && len(s.Configurations.Value) == 0
}

// evaluation is a Snapshot and what it is compared with.
type evaluation struct {
	Snapshot
	want        installation
	installed   variant
	differences []Check // from the installed variant
}

func apiServer(s Snapshot) Check {
	const fix = "kubectl cluster-info"
	var status apierrors.APIStatus
	switch {
	case s.Version.Err == nil:
		return checkAPIServer.ok("", "%s answers, Kubernetes %s", s.Server, s.Version.Value)
	case apierrors.IsUnauthorized(s.Version.Err):
		return checkAPIServer.problem("", fix, "%s does not accept your credentials: %s", s.Server, describe(s.Version.Err))
	case errors.As(s.Version.Err, &status) && status.Status().Code < http.StatusInternalServerError:
		return checkAPIServer.ok("", "%s answers; its version is not known: %s", s.Server, describe(s.Version.Err))
	}
	return checkAPIServer.problem("", fix, "%s does not answer: %s", s.Server, describe(s.Version.Err))
}

func (s evaluation) namespace() Check {
	object, called := "namespace/"+s.Namespace, s.calledNamespace()
	switch {
	case s.isNotInstalled():
		return checkNamespace.problem(object, "kubectl apply -f install.yaml", "does not exist: image-webhook is not installed")
	case called != s.Namespace:
		return checkNamespace.problem(object, "kubectl image-webhook status -n "+called, "image-webhook is installed in namespace %s", called)
	case s.Own.missing():
		return checkNamespace.problem(object, "kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations -l app.kubernetes.io/name=image-webhook",
			"does not exist: no replica can answer the API server")
	case s.Own.Err != nil:
		return checkNamespace.unread(object, s.Own.Err)
	}
	return checkNamespace.ok(object, "exists")
}

// calledNamespace returns the namespace of the Services that the configurations call, if it is
// the same for all, else the namespace of the webhook.
func (s evaluation) calledNamespace() string {
	called := map[string]bool{}
	for _, c := range s.Configurations.Value {
		for _, h := range c.hooks {
			called[serviceOf(h).Namespace] = true
		}
	}
	if namespaces := sortedKeys(called); len(namespaces) == 1 && namespaces[0] != "" {
		return namespaces[0]
	}
	return s.Namespace
}

// apply returns the command that applies a manifest.
func apply(manifest string) string { return "kubectl apply -f deploy/" + manifest }

// rerun returns the command that runs the Jobs of manifests again. `kubectl replace --force`
// deletes Jobs of an earlier run.
func rerun(manifests ...string) string {
	command := "kubectl replace --force"
	for _, manifest := range manifests {
		command += " -f deploy/" + manifest
	}
	return command
}

// renewNow returns the command that repairs the certificate and the caBundles: a run of the
// CronJob, which leaves no moment at which the API server does not trust the webhook, or the
// Jobs if there is no CronJob.
func (s evaluation) renewNow() string {
	if s.CronJob.Err == nil {
		return "kubectl create job renew-$(date +%s) --from=cronjob/renew -n " + s.Namespace
	}
	return rerun(createManifest, s.installed.manifest(patchManifest))
}

// Manifests that repair a problem.
const (
	createManifest   = "03-certgen.yaml"
	workloadManifest = "04-webhook.yaml"
	registerManifest = "05-webhookconfigure.yaml"
	patchManifest    = "06-patch-webhookconfigure.yaml"
	renewManifest    = "07-renew.yaml"
	policyManifest   = deploy.Hybrid + "/policy.yaml"
	ownerDirectory   = "namespace-owner/"
)

// sorted returns a sorted copy.
func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }
