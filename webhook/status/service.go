package status

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const serviceObject = "service/" + workload

func service(s evaluation) []Check {
	if s.Service.missing() {
		return []Check{checkService.problem(serviceObject, apply(workloadManifest), "does not exist: the API server cannot call the webhook")}
	} else if s.Service.Err != nil {
		return []Check{checkService.unread(serviceObject, s.Service.Err)}
	}
	var checks []Check
	found, want := s.Service.Value.Spec, s.want.service.Spec
	if difference := selectorDifference(found.Selector, want.Selector); difference != "" {
		checks = append(checks, s.wrongSelector(difference, want.Selector))
	}
	for _, port := range want.Ports {
		if !slices.ContainsFunc(found.Ports, func(p corev1.ServicePort) bool { return p.Port == port.Port && p.TargetPort == port.TargetPort }) {
			checks = append(checks, checkService.problem(serviceObject, apply(workloadManifest), "does not forward port %d to port %s of the replicas", port.Port, port.TargetPort.String()))
		}
	}
	if len(checks) > 0 {
		return checks
	}
	return []Check{checkService.ok(serviceObject, "has the selector and the port of the manifest")}
}

// selectorDifference returns how a selector differs from that of the manifest, or "".
func selectorDifference(found, want map[string]string) string {
	var differences []string
	for _, key := range sortedKeys(want) {
		if value, ok := found[key]; !ok {
			differences = append(differences, fmt.Sprintf("lacks %s=%s", key, want[key]))
		} else if value != want[key] {
			differences = append(differences, fmt.Sprintf("has %s=%s instead of %s", key, value, want[key]))
		}
	}
	for _, key := range sortedKeys(found) {
		if _, ok := want[key]; !ok {
			differences = append(differences, fmt.Sprintf("also has %s=%s", key, found[key]))
		}
	}
	return strings.Join(differences, ", ")
}

// wrongSelector is a warning if the selector is stricter than that of the manifest and still
// selects the replicas, as with labels of an overlay.
func (s evaluation) wrongSelector(difference string, want map[string]string) Check {
	value, _ := json.Marshal(want) // a map of strings has no error
	// `kubectl apply` would keep additional keys.
	fix := s.kubectl("patch service webhook") + fmt.Sprintf(` --type=json -p '[{"op":"replace","path":"/spec/selector","value":%s}]'`, value)
	found := s.Service.Value.Spec.Selector
	if s.Deployment.Err == nil && isSubset(want, found) && labels.SelectorFromSet(found).Matches(labels.Set(s.Deployment.Value.Spec.Template.Labels)) {
		return checkService.warning(serviceObject, fix, "the selector %s; it still selects the replicas", difference)
	}
	return checkService.problem(serviceObject, fix, "the selector %s", difference)
}

func isSubset(subset, set map[string]string) bool {
	for key, value := range subset {
		if other, ok := set[key]; !ok || other != value {
			return false
		}
	}
	return true
}

func endpoints(s evaluation) []Check {
	const object = "endpointslices"
	if s.Service.missing() {
		return nil // service reports it
	} else if s.Slices.Err != nil {
		return []Check{checkEndpoints.unread(object, s.Slices.Err)}
	}
	ready := map[string]bool{} // by address, because a pod can be in two slices for a moment
	for _, slice := range s.Slices.Value {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				ready[strings.Join(endpoint.Addresses, ",")] = true
			}
		}
	}
	if len(ready) == 0 {
		return []Check{checkEndpoints.problem(serviceObject, s.kubectl("get pods,endpointslices --show-labels"), "has no ready endpoint: the API server cannot call the webhook")}
	}
	return []Check{checkEndpoints.ok(serviceObject, "has %s", count(len(ready), "ready endpoint"))}
}

// externalIPs reports Services that claim the address of the webhook's Service. Depending on
// kube-proxy, they receive the requests of the API server (CVE-2020-8554).
func externalIPs(s evaluation) (checks []Check) {
	if s.Service.Err != nil {
		return nil // service reports it
	} else if s.Services.Err != nil {
		return []Check{checkExternalIPs.unread("services", s.Services.Err)}
	}
	for _, other := range s.Services.Value {
		for _, address := range s.Service.Value.Spec.ClusterIPs {
			if claim := claimOf(other, address); claim != "" {
				checks = append(checks, checkExternalIPs.problem("service/"+other.Name, fmt.Sprintf("kubectl delete service %s -n %s", other.Name, other.Namespace),
					"in namespace %s claims %s, the address of the webhook, %s: it can receive the requests of the API server", other.Namespace, address, claim))
			}
		}
	}
	if len(checks) > 0 {
		return checks
	}
	return []Check{checkExternalIPs.ok("", "no other Service claims the address of the webhook")}
}

// claimOf returns how a Service claims an address, and what prevents it, or "".
func claimOf(s corev1.Service, address string) string {
	switch {
	case slices.Contains(s.Spec.ExternalIPs, address):
		return "in externalIPs, which the API server's plugin DenyServiceExternalIPs prevents"
	case slices.ContainsFunc(s.Status.LoadBalancer.Ingress, func(i corev1.LoadBalancerIngress) bool { return i.IP == address }):
		return "as the address of its load balancer"
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// count returns a number and a noun, such as "2 replicas".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
