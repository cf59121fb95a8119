// Package deploy_test walks the manifests in their order and proves, without a
// cluster, what a cluster would only show by failing.
package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
	"github.com/image-webhook/image-webhook/webhook/certgen"
)

const namespace = "image-webhook"

func TestFilesComeInTheOrderOfInstallation(t *testing.T) {
	var names []string
	for _, file := range deploy.Files() {
		names = append(names, file.Name)
	}
	want := []string{
		"01-namespace.yaml", "02-rbac.yaml", "03-certgen.yaml", "04-webhook.yaml",
		"05-webhookconfigure.yaml", "06-patch-webhookconfigure.yaml",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// Every object that users and scripts name, and no other.
func TestObjects(t *testing.T) {
	var got []string
	for _, o := range load(t) {
		got = append(got, o.file[:2]+" "+o.key())
	}
	want := []string{
		"01 Namespace /image-webhook",
		"02 ServiceAccount image-webhook/webhook",
		"02 ServiceAccount image-webhook/certgen",
		"02 Role image-webhook/certgen",
		"02 RoleBinding image-webhook/certgen",
		"02 ServiceAccount image-webhook/patch-webhookconfigure",
		"02 Role image-webhook/patch-webhookconfigure",
		"02 RoleBinding image-webhook/patch-webhookconfigure",
		"02 ClusterRole /image-webhook-patch-webhookconfigure",
		"02 ClusterRoleBinding /image-webhook-patch-webhookconfigure",
		"03 Job image-webhook/certgen",
		"04 Deployment image-webhook/webhook",
		"04 Service image-webhook/webhook",
		"04 PodDisruptionBudget image-webhook/webhook",
		"05 ValidatingWebhookConfiguration /image-webhook",
		"05 ValidatingWebhookConfiguration /image-webhook-warnings",
		"05 MutatingWebhookConfiguration /image-webhook",
		"06 Job image-webhook/patch-webhookconfigure",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsUsedBeforeItIsMade(t *testing.T) {
	there := map[string]bool{}
	for _, o := range load(t) {
		for _, needed := range needs(t, o) {
			if !there[needed] {
				t.Errorf("%s needs %s, which nothing before it makes", o, needed)
			}
		}
		for _, made := range makes(t, o) {
			there[made] = true
		}
	}
}

// makes returns the keys of what is there after an object has been applied and
// has done its work.
func makes(t *testing.T, o object) []string {
	made := []string{o.key()}
	if job, ok := o.typed.(*batchv1.Job); ok {
		for _, c := range commands(t, job) {
			if c, ok := c.(certgen.Create); ok {
				made = append(made, key("Secret", c.Namespace, c.SecretName))
			}
		}
	}
	return made
}

// needs returns the keys of all that an object refers to.
func needs(t *testing.T, o object) (needed []string) {
	if o.GetNamespace() != "" {
		needed = append(needed, key("Namespace", "", o.GetNamespace()))
	}
	if template, ok := o.podTemplate(); ok {
		needed = append(needed, podNeeds(o.GetNamespace(), template)...)
	}
	switch typed := o.typed.(type) {
	case *batchv1.Job:
		for _, c := range commands(t, typed) {
			needed = append(needed, commandNeeds(c)...)
		}
	case *rbacv1.RoleBinding:
		needed = append(needed, key(typed.RoleRef.Kind, typed.Namespace, typed.RoleRef.Name))
		needed = append(needed, subjects(typed.Subjects)...)
	case *rbacv1.ClusterRoleBinding:
		needed = append(needed, key(typed.RoleRef.Kind, "", typed.RoleRef.Name))
		needed = append(needed, subjects(typed.Subjects)...)
	}
	for _, hook := range hooks(o) {
		needed = append(needed, key("Service", hook.ClientConfig.Service.Namespace, hook.ClientConfig.Service.Name))
	}
	return needed
}

func podNeeds(namespace string, template corev1.PodTemplateSpec) []string {
	needed := []string{key("ServiceAccount", namespace, template.Spec.ServiceAccountName)}
	for _, v := range template.Spec.Volumes {
		if v.Secret != nil {
			needed = append(needed, key("Secret", namespace, v.Secret.SecretName))
		}
	}
	return needed
}

func commandNeeds(command certgen.Command) []string {
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

func subjects(list []rbacv1.Subject) (needed []string) {
	for _, s := range list {
		needed = append(needed, key(s.Kind, s.Namespace, s.Name))
	}
	return needed
}

// The API server asks for the webhook by the name of its Service, so that is
// what the certificate must be made out to.
func TestServiceIsTheCertificatesHost(t *testing.T) {
	objects := load(t)
	service := only[*corev1.Service](t, objects)
	full := service.Name + "." + service.Namespace
	creates := asked[certgen.Create](t, objects)
	if len(creates) != 1 {
		t.Fatalf("%d containers create a certificate", len(creates))
	}
	want := []string{service.Name, full, full + ".svc", full + ".svc.cluster.local"}
	if diff := cmp.Diff(want, creates[0].Hosts); diff != "" {
		t.Errorf("hosts of the certificate:\n%s", diff)
	}
	for _, o := range objects {
		for _, hook := range hooks(o) {
			if got := hook.ClientConfig.Service.Name + "." + hook.ClientConfig.Service.Namespace; got != full {
				t.Errorf("%s calls %s, the Service is %s", hook.Name, got, full)
			}
		}
	}
}

// A call goes from the configuration's port to the Service's, from there to the
// container's, and there the server listens.
func TestPortsLeadToTheServer(t *testing.T) {
	objects := load(t)
	service := only[*corev1.Service](t, objects).Spec.Ports[0]
	container := webhookContainer(t, objects)
	for _, o := range objects {
		for _, hook := range hooks(o) {
			if *hook.ClientConfig.Service.Port != service.Port {
				t.Errorf("%s calls port %d, the Service has %d", hook.Name, *hook.ClientConfig.Service.Port, service.Port)
			}
		}
	}
	port := container.Ports[0]
	if service.TargetPort != intstr.FromString(port.Name) {
		t.Errorf("the Service sends to port %s, the container has %s", service.TargetPort.String(), port.Name)
	}
	if port.ContainerPort != 8443 || !slices.Contains(container.Args, "--server-addr=:8443") {
		t.Errorf("container port %d, args %q", port.ContainerPort, container.Args)
	}
}

func webhookContainer(t *testing.T, objects []object) corev1.Container {
	t.Helper()
	template := only[*appsv1.Deployment](t, objects).Spec.Template
	if len(template.Spec.Containers) != 1 {
		t.Fatalf("%d containers in the Deployment, want one", len(template.Spec.Containers))
	}
	return template.Spec.Containers[0]
}

// The Secret that 03 makes is the one that 04 mounts and 06 reads; the webhook
// gets the two keys it needs, where its flags look for them.
func TestSecretIsTheOneThatIsMade(t *testing.T) {
	objects := load(t)
	create := asked[certgen.Create](t, objects)[0]
	for _, patch := range asked[certgen.Patch](t, objects) {
		if patch.Namespace != create.Namespace || patch.SecretName != create.SecretName {
			t.Errorf("patch reads Secret %s/%s, create makes %s/%s", patch.Namespace, patch.SecretName, create.Namespace, create.SecretName)
		}
	}
	want := []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName:  "webhook-tls",
		Items:       []corev1.KeyToPath{{Key: "cert", Path: "cert"}, {Key: "key", Path: "key"}},
		DefaultMode: new(int32(0o440)),
	}}}}
	if diff := cmp.Diff(want, only[*appsv1.Deployment](t, objects).Spec.Template.Spec.Volumes); diff != "" {
		t.Errorf("volumes:\n%s", diff)
	}
	container := webhookContainer(t, objects)
	mounts := []corev1.VolumeMount{{Name: "tls", MountPath: "/tls", ReadOnly: true}}
	if diff := cmp.Diff(mounts, container.VolumeMounts); diff != "" {
		t.Errorf("mounts:\n%s", diff)
	}
	for _, flag := range []string{"--tls-cert=/tls/cert", "--tls-key=/tls/key"} {
		if !slices.Contains(container.Args, flag) {
			t.Errorf("%s is missing in %q", flag, container.Args)
		}
	}
}

func TestSelectorsMatchTheWebhooksPodsAlone(t *testing.T) {
	objects := load(t)
	deployment := only[*appsv1.Deployment](t, objects)
	selectors := map[string]labels.Selector{
		"Deployment":          parse(t, deployment.Spec.Selector),
		"Service":             labels.SelectorFromSet(only[*corev1.Service](t, objects).Spec.Selector),
		"PodDisruptionBudget": parse(t, only[*policyv1.PodDisruptionBudget](t, objects).Spec.Selector),
		"topology spread":     parse(t, deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector),
	}
	for name, selector := range selectors {
		if selector.Empty() {
			t.Errorf("%s: the selector matches everything", name)
		}
		for _, o := range objects {
			template, ok := o.podTemplate()
			if !ok {
				continue
			}
			want := o.kind == "Deployment"
			if got := selector.Matches(labels.Set(template.Labels)); got != want {
				t.Errorf("%s matches the Pods of %s: %t, want %t", name, o, got, want)
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

// Both Jobs can be created and applied, again and again, and are found by the
// label that the commands of the article wait for.
func TestJobsCanBeRunAgain(t *testing.T) {
	for _, job := range all[*batchv1.Job](load(t)) {
		if job.GenerateName != "" || job.Name == "" {
			t.Errorf("Job %s%s: a generated name cannot be applied", job.Name, job.GenerateName)
		}
		if job.Labels["job"] != job.Name {
			t.Errorf("Job %s: label job=%s", job.Name, job.Labels["job"])
		}
		if ttl := job.Spec.TTLSecondsAfterFinished; ttl == nil || *ttl == 0 || *ttl > 60 {
			t.Errorf("Job %s: it must remove itself, but not before it can be waited for", job.Name)
		}
		if job.Spec.BackoffLimit == nil || job.Spec.ActiveDeadlineSeconds == nil {
			t.Errorf("Job %s: tries and time have no bound", job.Name)
		}
	}
}

// Flags that kube-webhook-certgen has too, so that either image works.
func TestJobsUseOnlyFlagsOfTheRetiredTool(t *testing.T) {
	retired := map[string][]string{
		"create": {"--host", "--namespace", "--secret-name"},
		"patch":  {"--webhook-name", "--namespace", "--secret-name", "--patch-validating", "--patch-mutating", "--patch-failure-policy"},
	}
	for _, job := range all[*batchv1.Job](load(t)) {
		for _, c := range containers(job.Spec.Template) {
			for _, flag := range flagNames(c.Args[1:]) {
				if !slices.Contains(retired[c.Args[0]], flag) {
					t.Errorf("Job %s: %s %s", job.Name, c.Args[0], flag)
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

func TestWebhookIsServedAsDesigned(t *testing.T) {
	container := webhookContainer(t, load(t))
	if diff := cmp.Diff([]string{"/image-webhook"}, container.Command); diff != "" {
		t.Error(diff)
	}
	if container.Args[0] != "serve" {
		t.Errorf("args %q", container.Args)
	}
	want := []string{"--server-addr", "--tls-cert", "--tls-key", "--registry-mirrors"}
	if diff := cmp.Diff(want, flagNames(container.Args[1:])); diff != "" {
		t.Error(diff)
	}
	for path, probe := range map[string]*corev1.Probe{
		"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe,
	} {
		get := corev1.HTTPGetAction{Path: path, Port: intstr.FromString("https"), Scheme: corev1.URISchemeHTTPS}
		if diff := cmp.Diff(&get, probe.HTTPGet); diff != "" {
			t.Errorf("probe of %s:\n%s", path, diff)
		}
	}
}

// A rollout or a drained node loses no call.
func TestWebhookIsAlwaysThere(t *testing.T) {
	objects := load(t)
	deployment := only[*appsv1.Deployment](t, objects).Spec
	if *deployment.Replicas < 2 {
		t.Errorf("%d replicas", *deployment.Replicas)
	}
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	if diff := cmp.Diff(&appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one}, deployment.Strategy.RollingUpdate); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&one, only[*policyv1.PodDisruptionBudget](t, objects).Spec.MinAvailable); diff != "" {
		t.Error(diff)
	}
	const drain = 10 // seconds that the server takes at most for open requests
	sleep := deployment.Template.Spec.Containers[0].Lifecycle.PreStop.Sleep.Seconds
	if grace := *deployment.Template.Spec.TerminationGracePeriodSeconds; sleep < 1 || grace <= sleep+drain {
		t.Errorf("a grace period of %ds is no room for a pause of %ds and a drain of %ds", grace, sleep, drain)
	}
	if cpu, limited := deployment.Template.Spec.Containers[0].Resources.Limits[corev1.ResourceCPU]; limited {
		t.Errorf("a CPU limit of %s", cpu.String())
	}
}

func TestImageIsTheOneThatIsBuilt(t *testing.T) {
	for _, o := range load(t) {
		template, _ := o.podTemplate()
		for _, c := range containers(template) {
			if c.Image != webhookimage.StaticRef || c.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("%s: image %s, pull policy %s", o, c.Image, c.ImagePullPolicy)
			}
		}
	}
}
