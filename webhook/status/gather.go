package status

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Gather reads the installation in a namespace. It returns an error only for an invalid
// configuration: an API server that does not answer is part of the Snapshot. The deadline of ctx
// limits how long it takes.
func Gather(ctx context.Context, config *rest.Config, namespace string) (Snapshot, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // a few requests, once
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Snapshot{}, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	s := Snapshot{Time: time.Now(), Namespace: namespace, Server: config.Host}
	version, err := client.ServerVersionWithContext(ctx)
	if s.Version.Err = err; err == nil {
		s.Version.Value = version.GitVersion
	}
	if apiServer(s).Result == OK {
		s.read(ctx, client)
		s.askReplicas(ctx, config)
	}
	return s, nil
}

// read reads all objects, concurrently.
func (s *Snapshot) read(ctx context.Context, client kubernetes.Interface) {
	var all metav1.ListOptions
	core, rbac := client.CoreV1(), client.RbacV1()
	var reads sync.WaitGroup
	for _, read := range []func(){
		func() { s.Own = get(ctx, core.Namespaces().Get, s.Namespace) },
		func() { s.readDeployment(ctx, client) },
		func() { s.Service = get(ctx, core.Services(s.Namespace).Get, workload) },
		func() { s.Secret = get(ctx, core.Secrets(s.Namespace).Get, secretName) },
		func() { s.CronJob = get(ctx, client.BatchV1().CronJobs(s.Namespace).Get, renew) },
		func() { s.readReplicas(ctx, client) },
		func() { s.readSlices(ctx, client) },
		func() { s.readConfigurations(ctx, client) },
		func() { s.DenyPolicy = readDenyPolicy(ctx, client) },
		func() {
			s.Services = list(ctx, core.Services(metav1.NamespaceAll).List, all, func(l *corev1.ServiceList) []corev1.Service { return l.Items })
		},
		func() {
			s.Namespaces = list(ctx, core.Namespaces().List, all, func(l *corev1.NamespaceList) []corev1.Namespace { return l.Items })
		},
		func() {
			s.Roles = list(ctx, rbac.ClusterRoles().List, all, func(l *rbacv1.ClusterRoleList) []rbacv1.ClusterRole { return l.Items })
		},
		func() {
			s.Bindings = list(ctx, rbac.ClusterRoleBindings().List, all, func(l *rbacv1.ClusterRoleBindingList) []rbacv1.ClusterRoleBinding { return l.Items })
		},
	} {
		reads.Go(read)
	}
	reads.Wait()
}

func get[T any](ctx context.Context, call func(context.Context, string, metav1.GetOptions) (T, error), name string) Read[T] {
	value, err := call(ctx, name, metav1.GetOptions{})
	return Read[T]{value, err}
}

// list calls the List method of a client. items returns the items of the list.
func list[L, T any](ctx context.Context, call func(context.Context, metav1.ListOptions) (L, error), options metav1.ListOptions, items func(L) []T) (r Read[[]T]) {
	listed, err := call(ctx, options)
	if err != nil {
		return Read[[]T]{Err: err}
	}
	return Read[[]T]{Value: items(listed)}
}

// readDeployment reads the Deployment, and then the ConfigMap from which it mounts the policy file.
func (s *Snapshot) readDeployment(ctx context.Context, client kubernetes.Interface) {
	s.Deployment = get(ctx, client.AppsV1().Deployments(s.Namespace).Get, workload)
	if s.Deployment.Err != nil {
		return
	}
	pod := s.Deployment.Value.Spec.Template.Spec
	if source, found := policySource(pod, serveFlagsOf(pod).config); found {
		s.Policy = get(ctx, client.CoreV1().ConfigMaps(s.Namespace).Get, source.configMap)
	}
}

// readReplicas reads the pods that the manifest's Service selects.
func (s *Snapshot) readReplicas(ctx context.Context, client kubernetes.Interface) {
	selector := labels.SelectorFromSet(manifests(s.Namespace).service.Spec.Selector).String()
	s.Replicas = list(ctx, client.CoreV1().Pods(s.Namespace).List, metav1.ListOptions{LabelSelector: selector}, func(l *corev1.PodList) (live []corev1.Pod) {
		for _, pod := range l.Items {
			if pod.DeletionTimestamp == nil {
				live = append(live, pod)
			}
		}
		return live
	})
}

func (s *Snapshot) readSlices(ctx context.Context, client kubernetes.Interface) {
	options := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + workload}
	s.Slices = list(ctx, client.DiscoveryV1().EndpointSlices(s.Namespace).List, options, func(l *discoveryv1.EndpointSliceList) []discoveryv1.EndpointSlice { return l.Items })
}

// readConfigurations lists the configurations of both kinds, because one with any name can call
// the webhook.
func (s *Snapshot) readConfigurations(ctx context.Context, client kubernetes.Interface) {
	admission := client.AdmissionregistrationV1()
	validating, err := admission.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		s.Configurations.Err = err
		return
	}
	mutating, err := admission.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		s.Configurations.Err = err
		return
	}
	s.Configurations.Value = owned(manifests(s.Namespace), validating.Items, mutating.Items)
}

// askLimit is how long a replica may take to answer.
const askLimit = 10 * time.Second

// askReplicas asks the replicas what they use.
func (s *Snapshot) askReplicas(ctx context.Context, config *rest.Config) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var asks sync.WaitGroup
	asks.Go(func() {
		s.Served = fromReady(s.Replicas.Value, func(pod corev1.Pod) ([]*x509.Certificate, error) {
			return servedChain(ctx, config, pod, host(s.Namespace))
		})
	})
	if s.Policy.Value != nil && s.Policy.Err == nil && serveFlagsOf(s.Deployment.Value.Spec.Template.Spec).metricsAddr != noMetrics {
		asks.Go(func() {
			s.Loaded = fromReady(s.Replicas.Value, func(pod corev1.Pod) (string, error) { return loadedVersion(ctx, config, pod) })
		})
	}
	asks.Wait()
}

// fromReady asks each replica that is ready, concurrently. The answers are by the pod's name.
func fromReady[T any](replicas []corev1.Pod, ask func(corev1.Pod) (T, error)) map[string]Read[T] {
	answers := map[string]Read[T]{}
	var lock sync.Mutex
	var asks sync.WaitGroup
	for _, pod := range replicas {
		if !isReady(pod) {
			continue
		}
		asks.Go(func() {
			answer, err := ask(pod)
			lock.Lock()
			defer lock.Unlock()
			answers[pod.Name] = Read[T]{answer, err}
		})
	}
	asks.Wait()
	return answers
}

// owned returns the configurations that belong to an installation.
func owned(want installation, validating []admissionregistrationv1.ValidatingWebhookConfiguration, mutating []admissionregistrationv1.MutatingWebhookConfiguration) (own []configuration) {
	for _, v := range validating {
		if c := fromValidating(v); want.owns(c) {
			own = append(own, c)
		}
	}
	for _, m := range mutating {
		if c := fromMutating(m); want.owns(c) {
			own = append(own, c)
		}
	}
	return own
}
