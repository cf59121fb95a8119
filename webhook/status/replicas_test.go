package status

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestReplicas(t *testing.T) {
	const describePods = "kubectl describe pods -l app.kubernetes.io/component=webhook -n image-webhook"
	notReady := func(s *Snapshot, ready int32, status corev1.ContainerState) {
		s.Deployment.Value.Status.ReadyReplicas = ready
		pod := &s.Replicas.Value[1]
		pod.Status.Conditions[0].Status = corev1.ConditionFalse
		pod.Status.ContainerStatuses[0].State = status
	}
	checkScenarios(t, []scenario{
		{"deleted", func(_ *testing.T, s *Snapshot, _ issued) { s.Deployment.Err = notFound("deployments", workload) },
			[]Check{{"replicas", Problem, "deployment/webhook", "does not exist: no webhook runs", apply04}}},
		{"scaled to zero", func(_ *testing.T, s *Snapshot, _ issued) { s.Deployment.Value.Spec.Replicas = new(int32) },
			[]Check{{"replicas", Problem, "deployment/webhook", "is scaled to 0 replicas: no webhook runs", "kubectl scale deployment/webhook --replicas=2 -n image-webhook"}}},
		{"one waits", func(_ *testing.T, s *Snapshot, _ issued) {
			notReady(s, 1, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}})
		}, []Check{{"replicas", Warning, "deployment/webhook", "1 of 2 replicas are ready: pod/webhook-b: ImagePullBackOff", describePods}}},
		{"one has crashed", func(_ *testing.T, s *Snapshot, _ issued) {
			notReady(s, 0, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2}})
		}, []Check{{"replicas", Problem, "deployment/webhook", "0 of 2 replicas are ready: pod/webhook-b: exit code 2", describePods}}},
		{"one cannot be scheduled", func(_ *testing.T, s *Snapshot, _ issued) {
			notReady(s, 1, corev1.ContainerState{})
			s.Replicas.Value[1].Status.Conditions = append(s.Replicas.Value[1].Status.Conditions,
				corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available"})
		}, []Check{{"replicas", Warning, "deployment/webhook", "1 of 2 replicas are ready: pod/webhook-b: 0/1 nodes are available", describePods}}},
		{"one fails its probe", func(_ *testing.T, s *Snapshot, _ issued) {
			notReady(s, 1, corev1.ContainerState{})
			s.Replicas.Value[1].Status.Phase = corev1.PodRunning
		}, []Check{{"replicas", Warning, "deployment/webhook", "1 of 2 replicas are ready: pod/webhook-b: running, but not ready", describePods}}},
		{"on one node", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Replicas.Value[1].Spec.NodeName = s.Replicas.Value[0].Spec.NodeName
		}, []Check{{"replicas", Info, "", "all replicas run on node node-a: if it fails, new pods are rejected; `kubectl drain` waits until a replica runs on another node", ""}}},
		{"different images", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Replicas.Value[1].Spec.Containers[0].Image = "example.com/image-webhook:v2"
			s.Replicas.Value[1].Status.ContainerStatuses[0].ImageID = "sha256:fedcba9876543210"
		}, []Check{{"versions", Warning, "", "the replicas run different images: example.com/image-webhook:v1 (sha256:0123456789ab): pod/webhook-a; " +
			"example.com/image-webhook:v2 (sha256:fedcba987654): pod/webhook-b", "kubectl rollout status deployment/webhook -n image-webhook"}}},
		{"no priority", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Deployment.Value.Spec.Template.Spec.PriorityClassName = ""
		}, []Check{{"priority", Warning, "deployment/webhook", `has priority class "" instead of system-cluster-critical: other pods can preempt all replicas`, apply04}}},
	})
}

func TestService(t *testing.T) {
	const restore = `kubectl patch service webhook -n image-webhook --type=json -p ` +
		`'[{"op":"replace","path":"/spec/selector","value":{"app.kubernetes.io/component":"webhook","app.kubernetes.io/name":"image-webhook"}}]'`
	checkScenarios(t, []scenario{
		{"deleted", func(_ *testing.T, s *Snapshot, _ issued) { s.Service.Err = notFound("services", workload) },
			[]Check{{"service", Problem, "service/webhook", "does not exist: the API server cannot call the webhook", apply04}}},
		{"an additional key", func(_ *testing.T, s *Snapshot, _ issued) { s.Service.Value.Spec.Selector["track"] = "canary" },
			[]Check{{"service", Problem, "service/webhook", "the selector also has track=canary", restore}}},
		{"an additional key that the replicas have", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Service.Value.Spec.Selector["team"] = "platform"
			s.Deployment.Value.Spec.Template.Labels["team"] = "platform"
		}, []Check{{"service", Warning, "service/webhook", "the selector also has team=platform; it still selects the replicas", restore}}},
		{"a missing and a changed key", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Service.Value.Spec.Selector = map[string]string{"app.kubernetes.io/name": "other"}
		}, []Check{{"service", Problem, "service/webhook",
			"the selector lacks app.kubernetes.io/component=webhook, has app.kubernetes.io/name=other instead of image-webhook", restore}}},
		{"another port", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Service.Value.Spec.Ports[0].TargetPort = intstr.FromInt32(9443)
		}, []Check{{"service", Problem, "service/webhook", "does not forward port 443 to port https of the replicas", apply04}}},
		{"no ready endpoint", func(_ *testing.T, s *Snapshot, _ issued) {
			s.Slices.Value = []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}}}}}
		}, []Check{{"endpoints", Problem, "service/webhook", "has no ready endpoint: the API server cannot call the webhook", "kubectl get pods,endpointslices --show-labels -n image-webhook"}}},
		{"its address is claimed", func(_ *testing.T, s *Snapshot, _ issued) {
			external := labeled("external", "").ObjectMeta
			external.Namespace = "shop"
			balancer := labeled("balancer", "").ObjectMeta
			balancer.Namespace = "shop"
			s.Services.Value = []corev1.Service{
				*s.Service.Value,
				{ObjectMeta: external, Spec: corev1.ServiceSpec{ExternalIPs: []string{"10.96.0.50"}}},
				{ObjectMeta: balancer, Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "10.96.0.50"}}}}},
				{ObjectMeta: external, Spec: corev1.ServiceSpec{ExternalIPs: []string{"10.96.0.51"}}},
			}
		}, []Check{
			{"external-ips", Problem, "service/external", "in namespace shop claims 10.96.0.50, the address of the webhook, in externalIPs, which the API server's plugin DenyServiceExternalIPs prevents: it can receive the requests of the API server", "kubectl delete service external -n shop"},
			{"external-ips", Problem, "service/balancer", "in namespace shop claims 10.96.0.50, the address of the webhook, as the address of its load balancer: it can receive the requests of the API server", "kubectl delete service balancer -n shop"},
		}},
	})
}
