// Package deploy_test checks the manifests without a cluster: their order, their
// references to each other, permissions, security settings and webhook registrations.
package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/image-webhook/image-webhook/tools/webhookimage"
	"github.com/image-webhook/image-webhook/webhook/certgen"
)

const namespace = "image-webhook"

func TestManifestsContainTheseObjects(t *testing.T) {
	// Users and scripts rely on these names.
	var got []string
	for _, o := range load(t) {
		got = append(got, o.file[:2]+" "+o.key())
	}
	want := []string{
		"01 Namespace /image-webhook",
		"01 ResourceQuota image-webhook/critical-pods",
		"01 Namespace /image-webhook-probe",
		"01 ResourceQuota image-webhook-probe/no-pods",
		"01 ServiceAccount image-webhook-probe/probe",
		"02 ServiceAccount image-webhook/webhook",
		"02 ServiceAccount image-webhook/certgen",
		"02 ServiceAccount image-webhook/renew",
		"02 Role image-webhook/certgen",
		"02 RoleBinding image-webhook/certgen",
		"02 ClusterRole /image-webhook-certgen",
		"02 ClusterRoleBinding /image-webhook-certgen",
		"02 ClusterRole /image-webhook-renew",
		"02 ClusterRoleBinding /image-webhook-renew",
		"02 ServiceAccount image-webhook/patch-webhookconfigure",
		"02 Role image-webhook/patch-webhookconfigure",
		"02 RoleBinding image-webhook/patch-webhookconfigure",
		"02 ClusterRole /image-webhook-patch-webhookconfigure",
		"02 ClusterRoleBinding /image-webhook-patch-webhookconfigure",
		"02 Role default/image-webhook-certgen",
		"02 RoleBinding default/image-webhook-certgen",
		"02 Role image-webhook-probe/probe",
		"02 RoleBinding image-webhook-probe/probe",
		"03 Job image-webhook/certgen",
		"04 ConfigMap image-webhook/image-policy",
		"04 Deployment image-webhook/webhook",
		"04 Service image-webhook/webhook",
		"04 PodDisruptionBudget image-webhook/webhook",
		"04 NetworkPolicy image-webhook/webhook",
		"05 ValidatingWebhookConfiguration /image-webhook",
		"05 ValidatingWebhookConfiguration /image-webhook-warnings",
		"05 MutatingWebhookConfiguration /image-webhook",
		"06 Job image-webhook/patch-webhookconfigure",
		"07 CronJob image-webhook/renew",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestObjectsComeAfterTheirDependencies(t *testing.T) {
	created := map[string]bool{}
	for _, o := range load(t) {
		for _, needed := range dependencies(t, o) {
			if !created[needed] {
				t.Errorf("%s needs %s, which no earlier object creates", o, needed)
			}
		}
		for _, key := range results(t, o) {
			created[key] = true
		}
	}
}

// results returns the keys of the objects that exist after o is applied: o itself, and the
// Secrets that its Job creates.
func results(t *testing.T, o object) []string {
	keys := []string{o.key()}
	for _, c := range commandsOf(t, o) {
		if c, ok := c.(certgen.Create); ok {
			keys = append(keys, key("Secret", c.Namespace, c.SecretName))
		}
	}
	return keys
}

// dependencies returns the keys of all objects that o refers to.
func dependencies(t *testing.T, o object) (needed []string) {
	if o.GetNamespace() != "" && o.GetNamespace() != "default" {
		needed = append(needed, key("Namespace", "", o.GetNamespace()))
	}
	if template, ok := o.podTemplate(); ok {
		needed = append(needed, podDependencies(o.GetNamespace(), template)...)
	}
	switch typed := o.typed.(type) {
	case *batchv1.Job, *batchv1.CronJob:
		for _, c := range commandsOf(t, o) {
			needed = append(needed, commandDependencies(c)...)
		}
	case *rbacv1.RoleBinding:
		needed = append(needed, key(typed.RoleRef.Kind, typed.Namespace, typed.RoleRef.Name))
		needed = append(needed, subjectKeys(typed.Subjects)...)
	case *rbacv1.ClusterRoleBinding:
		needed = append(needed, key(typed.RoleRef.Kind, "", typed.RoleRef.Name))
		needed = append(needed, subjectKeys(typed.Subjects)...)
	}
	for _, hook := range hooks(o) {
		needed = append(needed, key("Service", hook.ClientConfig.Service.Namespace, hook.ClientConfig.Service.Name))
	}
	return needed
}

func podDependencies(namespace string, template corev1.PodTemplateSpec) []string {
	needed := []string{key("ServiceAccount", namespace, template.Spec.ServiceAccountName)}
	for _, v := range template.Spec.Volumes {
		if v.Secret != nil {
			needed = append(needed, key("Secret", namespace, v.Secret.SecretName))
		}
		if v.ConfigMap != nil {
			needed = append(needed, key("ConfigMap", namespace, v.ConfigMap.Name))
		}
	}
	return needed
}

func commandDependencies(command certgen.Command) []string {
	if renew, ok := command.(certgen.Renew); ok {
		return []string{key("Secret", renew.Namespace, renew.SecretName)}
	}
	patch, ok := command.(certgen.Patch)
	if !ok {
		return nil
	}
	needed := []string{key("Secret", patch.Namespace, patch.SecretName)}
	if patch.Validating.Selected {
		needed = append(needed, key("ValidatingWebhookConfiguration", "", patch.WebhookName))
	}
	if patch.Mutating.Selected {
		needed = append(needed, key("MutatingWebhookConfiguration", "", patch.WebhookName))
	}
	return needed
}

func subjectKeys(list []rbacv1.Subject) (needed []string) {
	for _, s := range list {
		needed = append(needed, key(s.Kind, s.Namespace, s.Name))
	}
	return needed
}

func TestCertificateIsValidForTheService(t *testing.T) {
	objects := load(t)
	service := objectOfType[*corev1.Service](t, objects)
	full := service.Name + "." + service.Namespace
	creates := argumentsOf[certgen.Create](t, objects)
	if len(creates) != 1 {
		t.Fatalf("%d containers create a certificate, want 1", len(creates))
	}
	want := []string{service.Name, full, full + ".svc", full + ".svc.cluster.local"}
	if diff := cmp.Diff(want, creates[0].Hosts); diff != "" {
		t.Errorf("hosts of the certificate (-want +got):\n%s", diff)
	}
	renews := argumentsOf[certgen.Renew](t, objects)
	if diff := cmp.Diff([]certgen.Renew{{Create: creates[0], Timeout: time.Minute}}, renews); diff != "" {
		t.Errorf("07 renews another certificate than the one that 03 creates (-want +got):\n%s", diff)
	}
	for _, o := range objects {
		for _, hook := range hooks(o) {
			if got := hook.ClientConfig.Service.Name + "." + hook.ClientConfig.Service.Namespace; got != full {
				t.Errorf("%s calls Service %s, want %s", hook.Name, got, full)
			}
		}
	}
}

func TestWebhookAndServicePortsLeadToTheServer(t *testing.T) {
	objects := load(t)
	service := objectOfType[*corev1.Service](t, objects).Spec.Ports[0]
	container := webhookContainer(t, objects)
	for _, o := range objects {
		for _, hook := range hooks(o) {
			if *hook.ClientConfig.Service.Port != service.Port {
				t.Errorf("%s calls port %d, want %d, the port of the Service", hook.Name, *hook.ClientConfig.Service.Port, service.Port)
			}
		}
	}
	port := container.Ports[0]
	if service.TargetPort != intstr.FromString(port.Name) {
		t.Errorf("target port of the Service is %s, want %s, the port of the container", service.TargetPort.String(), port.Name)
	}
	if port.ContainerPort != 8443 || !slices.Contains(container.Args, "--server-addr=:8443") {
		t.Errorf("container port %d, args %q", port.ContainerPort, container.Args)
	}
}

func webhookContainer(t *testing.T, objects []object) corev1.Container {
	t.Helper()
	template := objectOfType[*appsv1.Deployment](t, objects).Spec.Template
	if len(template.Spec.Containers) != 1 {
		t.Fatalf("%d containers in the Deployment, want 1", len(template.Spec.Containers))
	}
	return template.Spec.Containers[0]
}

func TestSecretIsTheSameInAllManifests(t *testing.T) {
	// 03 creates the Secret, 04 mounts it and 06 reads it.
	objects := load(t)
	create := argumentsOf[certgen.Create](t, objects)[0]
	for _, patch := range argumentsOf[certgen.Patch](t, objects) {
		if patch.Namespace != create.Namespace || patch.SecretName != create.SecretName {
			t.Errorf("patch reads Secret %s/%s, create writes %s/%s", patch.Namespace, patch.SecretName, create.Namespace, create.SecretName)
		}
	}
	want := corev1.Volume{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName:  "webhook-tls",
		Items:       []corev1.KeyToPath{{Key: "cert", Path: "cert"}, {Key: "key", Path: "key"}},
		DefaultMode: new(int32(0o440)),
	}}}
	if diff := cmp.Diff(want, objectOfType[*appsv1.Deployment](t, objects).Spec.Template.Spec.Volumes[0]); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
	container := webhookContainer(t, objects)
	mount := corev1.VolumeMount{Name: "tls", MountPath: "/tls", ReadOnly: true}
	if diff := cmp.Diff(mount, container.VolumeMounts[0]); diff != "" {
		t.Errorf("mount (-want +got):\n%s", diff)
	}
	for _, flag := range []string{"--tls-cert=/tls/cert", "--tls-key=/tls/key"} {
		if !slices.Contains(container.Args, flag) {
			t.Errorf("flag %s is missing in %q", flag, container.Args)
		}
	}
}

func TestSelectorsMatchOnlyTheWebhooksPods(t *testing.T) {
	objects := load(t)
	deployment := objectOfType[*appsv1.Deployment](t, objects)
	selectors := map[string]labels.Selector{
		"Deployment":          parse(t, deployment.Spec.Selector),
		"Service":             labels.SelectorFromSet(objectOfType[*corev1.Service](t, objects).Spec.Selector),
		"PodDisruptionBudget": parse(t, objectOfType[*policyv1.PodDisruptionBudget](t, objects).Spec.Selector),
		"NetworkPolicy":       parse(t, &objectOfType[*networkingv1.NetworkPolicy](t, objects).Spec.PodSelector),
		"topology spread":     parse(t, deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector),
	}
	for name, selector := range selectors {
		if selector.Empty() {
			t.Errorf("selector of %s matches every pod", name)
		}
		for _, o := range objects {
			template, ok := o.podTemplate()
			if !ok {
				continue
			}
			want := o.kind == "Deployment"
			if got := selector.Matches(labels.Set(template.Labels)); got != want {
				t.Errorf("selector of %s matches the pods of %s: %t, want %t", name, o, got, want)
			}
		}
	}
}

func parse(t *testing.T, selector *metav1.LabelSelector) labels.Selector {
	t.Helper()
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestJobsCanRunAgain(t *testing.T) {
	for _, job := range objectsOfType[*batchv1.Job](load(t)) {
		if job.GenerateName != "" || job.Name == "" {
			t.Errorf("Job %s%s: it needs a fixed name: kubectl apply does not support generateName", job.Name, job.GenerateName)
		}
		if job.Labels["job"] != job.Name {
			t.Errorf("Job %[1]s: label job is %[2]q, want %[1]q", job.Name, job.Labels["job"])
		}
		if ttl := job.Spec.TTLSecondsAfterFinished; ttl == nil || *ttl == 0 || *ttl > 60 {
			t.Errorf("Job %s: invalid ttlSecondsAfterFinished: the Job must be deleted after 1 to 60 seconds, so that it can be waited for", job.Name)
		}
		if job.Spec.BackoffLimit == nil || job.Spec.ActiveDeadlineSeconds == nil {
			t.Errorf("Job %s: backoffLimit or activeDeadlineSeconds is not set", job.Name)
		}
	}
}

func TestJobsUseOnlyFlagsOfKubeWebhookCertgen(t *testing.T) {
	retired := map[string][]string{
		"create": {"--host", "--namespace", "--secret-name"},
		"patch":  {"--webhook-name", "--namespace", "--secret-name", "--patch-validating", "--patch-mutating", "--patch-failure-policy"},
	}
	for _, job := range objectsOfType[*batchv1.Job](load(t)) {
		for _, c := range containers(job.Spec.Template) {
			for _, flag := range flagNames(c.Args[1:]) {
				if !slices.Contains(retired[c.Args[0]], flag) {
					t.Errorf("Job %s: kube-webhook-certgen %s does not have the flag %s", job.Name, c.Args[0], flag)
				}
			}
		}
	}
}

func flagNames(args []string) (names []string) {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		names = append(names, name)
	}
	return names
}

func TestWebhookContainerHasCommandFlagsAndProbes(t *testing.T) {
	container := webhookContainer(t, load(t))
	if diff := cmp.Diff([]string{"/image-webhook"}, container.Command); diff != "" {
		t.Error(diff)
	}
	if container.Args[0] != "serve" {
		t.Errorf("args are %q", container.Args)
	}
	want := []string{"--server-addr", "--tls-cert", "--tls-key", "--config", "--metrics-addr"}
	if diff := cmp.Diff(want, flagNames(container.Args[1:])); diff != "" {
		t.Error(diff)
	}
	for path, probe := range map[string]*corev1.Probe{
		"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe,
	} {
		get := corev1.HTTPGetAction{Path: path, Port: intstr.FromString("https"), Scheme: corev1.URISchemeHTTPS}
		if diff := cmp.Diff(&get, probe.HTTPGet); diff != "" {
			t.Errorf("probe of %s (-want +got):\n%s", path, diff)
		}
	}
}

func TestWebhookStaysAvailableDuringRolloutsAndDrains(t *testing.T) {
	objects := load(t)
	deployment := objectOfType[*appsv1.Deployment](t, objects).Spec
	if *deployment.Replicas < 2 {
		t.Errorf("%d replicas, want at least 2", *deployment.Replicas)
	}
	zero, one := intstr.FromInt32(0), intstr.FromInt32(1)
	if diff := cmp.Diff(&appsv1.RollingUpdateDeployment{MaxUnavailable: &zero, MaxSurge: &one}, deployment.Strategy.RollingUpdate); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&one, objectOfType[*policyv1.PodDisruptionBudget](t, objects).Spec.MinAvailable); diff != "" {
		t.Error(diff)
	}
	const drain = 10 // the server waits at most this many seconds for open requests
	sleep := deployment.Template.Spec.Containers[0].Lifecycle.PreStop.Sleep.Seconds
	if grace := *deployment.Template.Spec.TerminationGracePeriodSeconds; sleep < 1 || grace <= sleep+drain {
		t.Errorf("grace period %ds is too short for a preStop sleep of %ds and a drain of %ds", grace, sleep, drain)
	}
	if cpu, limited := deployment.Template.Spec.Containers[0].Resources.Limits[corev1.ResourceCPU]; limited {
		t.Errorf("CPU limit is %s, want none", cpu.String())
	}
}

func TestContainersUseTheBuiltImage(t *testing.T) {
	for _, o := range load(t) {
		template, _ := o.podTemplate()
		for _, c := range containers(template) {
			checkImage(t, o, c)
		}
	}
}

func checkImage(t *testing.T, o object, c corev1.Container) {
	t.Helper()
	if c.Image != webhookimage.StaticRef || c.ImagePullPolicy != corev1.PullIfNotPresent {
		t.Errorf("%s: image %s, pull policy %s", o, c.Image, c.ImagePullPolicy)
	}
}
