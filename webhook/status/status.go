// Package status says what is wrong with an installation of the webhook, and how to fix it.
//
// Gather reads the installation into a Snapshot. It changes nothing in the cluster, and sends
// nothing to the webhook except the handshake of a TLS connection and a request for its metrics. A
// part that it cannot read is an error in the Snapshot, so that one missing right does not hide the
// other parts.
//
// Evaluate is a pure function of a Snapshot. It compares the installation with the manifests
// of package deploy. The package must never print the content of the Secret.
package status

import (
	"fmt"
	"slices"
)

// Result is the result of a check.
type Result string

// The results of a check.
const (
	OK      Result = "ok"
	Info    Result = "info"    // a fact that can be intended, such as a namespace with the mode off
	Warning Result = "warning" // the webhook works, but less safely than it could
	Problem Result = "problem" // the webhook does not do its work, or will stop doing it
	Unknown Result = "unknown" // the check could not be done
)

// Check is the result of one check for one object.
type Check struct {
	Name    string `json:"name"`
	Result  Result `json:"result"`
	Object  string `json:"object,omitempty"` // as kubectl names it, such as secret/webhook-tls
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"` // a command
}

// Report is the result of all checks.
type Report struct {
	// Healthy is false if there is a problem, or if a check could not be done.
	Healthy bool    `json:"healthy"`
	Checks  []Check `json:"checks"`
}

func newReport(checks []Check) Report {
	unhealthy := slices.ContainsFunc(checks, func(c Check) bool { return c.Result == Problem || c.Result == Unknown })
	return Report{!unhealthy, checks}
}

// Count returns the number of checks with a result.
func (r Report) Count(result Result) (count int) {
	for _, c := range r.Checks {
		if c.Result == result {
			count++
		}
	}
	return count
}

// check is the name of a check. Users and scripts rely on the names.
type check string

const (
	checkAPIServer     check = "api-server"
	checkNamespace     check = "namespace"
	checkReplicas      check = "replicas"
	checkVersions      check = "versions"
	checkPriority      check = "priority"
	checkService       check = "service"
	checkEndpoints     check = "endpoints"
	checkExternalIPs   check = "external-ips"
	checkCertificate   check = "certificate"
	checkServed        check = "served-certificate"
	checkRegistration  check = "registration"
	checkCABundle      check = "ca-bundle"
	checkFailurePolicy check = "failure-policy"
	checkModes         check = "modes"
	checkAccess        check = "access"
	checkRenewal       check = "renewal"
	checkPolicy        check = "policy"
)

func (c check) ok(object, format string, args ...any) Check {
	return Check{Name: string(c), Result: OK, Object: object, Message: fmt.Sprintf(format, args...)}
}

func (c check) info(object, format string, args ...any) Check {
	return Check{Name: string(c), Result: Info, Object: object, Message: fmt.Sprintf(format, args...)}
}

func (c check) warning(object, fix, format string, args ...any) Check {
	return Check{Name: string(c), Result: Warning, Object: object, Message: fmt.Sprintf(format, args...), Fix: fix}
}

func (c check) problem(object, fix, format string, args ...any) Check {
	return Check{Name: string(c), Result: Problem, Object: object, Message: fmt.Sprintf(format, args...), Fix: fix}
}

// unread returns the check of an object that could not be read.
func (c check) unread(object string, err error) Check {
	return Check{Name: string(c), Result: Unknown, Object: object, Message: "not checked: " + describe(err)}
}
