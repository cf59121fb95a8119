package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/certgen"
	"github.com/image-webhook/image-webhook/webhook/owner"
)

// loadNamespaceOwner decodes the objects of deploy/namespace-owner in the order of
// installation.
func loadNamespaceOwner(t *testing.T) (objects []object) {
	t.Helper()
	for _, file := range deploy.NamespaceOwnerFiles() {
		objects = append(objects, loadFile(t, file)...)
	}
	return objects
}

func TestNamespaceOwnerManifestsContainTheseObjects(t *testing.T) {
	var got []string
	for _, o := range loadNamespaceOwner(t) {
		got = append(got, o.file[:2]+" "+o.key())
	}
	want := []string{
		// The policy that confines the controller comes before its rights.
		"01 ValidatingAdmissionPolicy /image-webhook-namespace-owner-controller",
		"01 ValidatingAdmissionPolicyBinding /image-webhook-namespace-owner-controller",
		"01 ServiceAccount image-webhook/namespace-owner",
		"01 ClusterRole /image-webhook-namespace-owner",
		"01 ClusterRoleBinding /image-webhook-namespace-owner",
		"01 Role image-webhook/namespace-owner",
		"01 RoleBinding image-webhook/namespace-owner",
		"01 Role default/image-webhook-namespace-owner",
		"01 RoleBinding default/image-webhook-namespace-owner",
		"01 ClusterRole /image-webhook-patch-namespace-owner",
		"01 ClusterRoleBinding /image-webhook-patch-namespace-owner",
		"01 ClusterRole /image-webhook-namespace-creator",
		// The policies that guard the owner come before everything that acts on it.
		"02 ValidatingAdmissionPolicy /image-webhook-namespace-owner-create",
		"02 ValidatingAdmissionPolicyBinding /image-webhook-namespace-owner-create",
		"02 ValidatingAdmissionPolicy /image-webhook-namespace-owner-update",
		"02 ValidatingAdmissionPolicyBinding /image-webhook-namespace-owner-update",
		"02 ValidatingAdmissionPolicy /image-webhook-namespace-owner-pending",
		"02 ValidatingAdmissionPolicyBinding /image-webhook-namespace-owner-pending",
		"03 ConfigMap image-webhook/namespace-owner",
		"04 Deployment image-webhook/namespace-owner",
		"04 PodDisruptionBudget image-webhook/namespace-owner",
		"05 MutatingWebhookConfiguration /image-webhook-namespace-owner",
		"06 Job image-webhook/patch-namespace-owner",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, o := range loadNamespaceOwner(t) {
		if o.GetLabels()["app.kubernetes.io/name"] != "image-webhook" {
			t.Errorf("%s: scripts/uninstall.sh does not find it: label app.kubernetes.io/name is missing", o)
		}
	}
}

func TestNamespaceOwnerPodsAreRestrictedAndUseTheBuiltImage(t *testing.T) {
	for _, o := range loadNamespaceOwner(t) {
		template, ok := o.podTemplate()
		if !ok {
			continue
		}
		checkPod(t, o.String(), template.Spec)
		for _, c := range containers(template) {
			checkContainer(t, o.String()+", container "+c.Name, c)
			checkImage(t, o, c)
		}
	}
}

// policies returns the policies by the last word of their names.
func policies(t *testing.T) map[string]*admissionregistrationv1.ValidatingAdmissionPolicy {
	t.Helper()
	found := map[string]*admissionregistrationv1.ValidatingAdmissionPolicy{}
	for _, p := range objectsOfType[*admissionregistrationv1.ValidatingAdmissionPolicy](loadNamespaceOwner(t)) {
		found[strings.TrimPrefix(p.Name, "image-webhook-namespace-owner-")] = p
	}
	return found
}

func TestNamespaceOwnerPoliciesCannotBlockTheCluster(t *testing.T) {
	const exempt = "!('system:masters' in request.userInfo.?groups.orValue([]) || request.userInfo.username == 'system:kube-controller-manager' || request.userInfo.username.startsWith('system:serviceaccount:kube-system:'))"
	conditions := map[string][]string{}
	for name, policy := range policies(t) {
		for _, condition := range policy.Spec.MatchConditions {
			conditions[name] = append(conditions[name], condition.Name)
			if condition.Name == "not-exempt" && strings.TrimSpace(condition.Expression) != exempt {
				t.Errorf("%s: not-exempt is %q", policy.Name, condition.Expression)
			}
		}
		if policy.Spec.ParamKind != nil { // a missing parameter would refuse every request
			t.Errorf("%s has parameters", policy.Name)
		}
		for _, rule := range policy.Spec.MatchConstraints.ResourceRules {
			if name != "controller" && slices.ContainsFunc(rule.Operations, func(o admissionregistrationv1.OperationType) bool { return o != "CREATE" && o != "UPDATE" }) {
				t.Errorf("%s checks %s: a deletion must need nobody", policy.Name, rule.Operations)
			}
		}
	}
	want := map[string][]string{
		"controller": {"is-the-controller"},
		"create":     {"not-exempt"},
		"update":     {"owner-or-tenancy-changed", "not-exempt"},
		"pending":    {"not-exempt", "not-the-controller"},
	}
	if diff := cmp.Diff(want, conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	for _, w := range ownerWebhooks(t) {
		if w.MatchConditions[0].Name != "not-exempt" || strings.TrimSpace(w.MatchConditions[0].Expression) != exempt {
			t.Errorf("%s: its first condition is not not-exempt", w.Name)
		}
	}
}

func ownerWebhooks(t *testing.T) []admissionregistrationv1.MutatingWebhook {
	t.Helper()
	return objectOfType[*admissionregistrationv1.MutatingWebhookConfiguration](t, loadNamespaceOwner(t)).Webhooks
}

func TestNamespaceOwnerWebhooksStayOnIgnore(t *testing.T) {
	for _, w := range ownerWebhooks(t) {
		service := w.ClientConfig.Service
		checkCannotBlock(t, hook{ValidatingWebhook: admissionregistrationv1.ValidatingWebhook{
			Name: w.Name, FailurePolicy: w.FailurePolicy, SideEffects: w.SideEffects, MatchPolicy: w.MatchPolicy,
			TimeoutSeconds: w.TimeoutSeconds, AdmissionReviewVersions: w.AdmissionReviewVersions,
		}})
		if service.Name != "webhook" || service.Namespace != namespace || len(w.ClientConfig.CABundle) > 0 || !strings.HasPrefix(*service.Path, "/namespace-owner") {
			t.Errorf("%s calls %+v", w.Name, service)
		}
		// The creator of a namespace can forge the label with its name.
		if w.NamespaceSelector != nil || w.ObjectSelector != nil {
			t.Errorf("%s selects by labels", w.Name)
		}
	}
	want := []certgen.Command{certgen.Patch{
		WebhookName: "image-webhook-namespace-owner", Namespace: namespace, SecretName: "webhook-tls",
		Mutating: certgen.ConfigurationPatch{Selected: true}, Timeout: 60_000_000_000,
	}}
	var got []certgen.Command
	for _, patch := range argumentsOf[certgen.Patch](t, loadNamespaceOwner(t)) {
		got = append(got, patch)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patches (-want +got):\n%s", diff)
	}
}

func TestNamespaceOwnerManifestsUseTheNamesOfTheCode(t *testing.T) {
	known := []string{owner.Annotation, owner.TenancyLabel, owner.Condition, "image-webhook.dev/template", "image-webhook.dev/image-webhook"}
	for _, file := range deploy.NamespaceOwnerFiles() {
		for _, word := range strings.FieldsFunc(file.Content, func(r rune) bool { return strings.ContainsRune(" \n\t'\"`=:;,[]()", r) }) {
			if strings.HasPrefix(word, "image-webhook.dev/") && !slices.Contains(known, word) {
				t.Errorf("%s: unknown name %s", file.Name, word)
			}
		}
	}
}

func TestClusterNamespacesAreProtectedInAllPolicies(t *testing.T) {
	const list = "['kube-system', 'kube-public', 'kube-node-lease', 'default', 'image-webhook']"
	count := map[string]int{}
	for name, policy := range policies(t) {
		for _, validation := range policy.Spec.Validations {
			count[name] += strings.Count(validation.Expression, list)
		}
	}
	if diff := cmp.Diff(map[string]int{"controller": 1, "create": 1, "update": 1, "pending": 0}, count); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	selected := policies(t)["pending"].Spec.MatchConstraints.NamespaceSelector.MatchExpressions[1].Values
	if got := "['" + strings.Join(selected, "', '") + "']"; got != list {
		t.Errorf("the policy pending excludes %s, want %s", got, list)
	}
}

func TestRoleOfOwnersIsTheSameInAllPlaces(t *testing.T) {
	objects := loadNamespaceOwner(t)
	args := objectOfType[*appsv1.Deployment](t, objects).Spec.Template.Spec.Containers[0].Args
	const role = "admin"
	if !slices.Contains(args, "--cluster-role="+role) {
		t.Errorf("arguments %q", args)
	}
	if last := policies(t)["controller"].Spec.Validations[3].Expression; !strings.Contains(last, "object.roleRef.name in ['"+role+"']") {
		t.Errorf("the policy has %s", last)
	}
	for _, cluster := range objectsOfType[*rbacv1.ClusterRole](objects) {
		for _, rule := range cluster.Rules {
			if slices.Contains(rule.Verbs, "bind") && !slices.Equal(rule.ResourceNames, []string{role}) {
				t.Errorf("the controller may bind %q", rule.ResourceNames)
			}
		}
	}
}

func TestControllerHasOnlyTheseRights(t *testing.T) {
	// The tests in e2e/integration run the controller with exactly these rights.
	want := calls{}
	allow := func(group, resource, namespace, name string, verbs ...string) {
		for _, verb := range verbs {
			want[call{verb, group, resource, namespace, name}] = true
		}
	}
	allow("", "namespaces", "", "", "list", "watch")
	allow("", "namespaces/status", "", "", "patch")
	allow("", "resourcequotas", "", "", "list", "watch", "create", "patch", "delete")
	allow("", "limitranges", "", "", "list", "watch", "create", "patch", "delete")
	allow(rbacv1.GroupName, "rolebindings", "", "", "list", "watch", "create", "patch", "delete")
	allow(rbacv1.GroupName, "clusterroles", "", "admin", "get", "bind")
	allow("coordination.k8s.io", "leases", namespace, "", "create")
	allow("coordination.k8s.io", "leases", namespace, "namespace-owner", "get", "update")
	allow("", "events", namespace, "", "create", "patch")
	allow("", "events", "default", "", "create", "patch")
	if diff := cmp.Diff(want, granted(loadNamespaceOwner(t), "namespace-owner")); diff != "" {
		t.Errorf("(-want +granted):\n%s", diff)
	}
	for _, account := range objectsOfType[*corev1.ServiceAccount](loadNamespaceOwner(t)) {
		if mount := account.AutomountServiceAccountToken; mount == nil || *mount {
			t.Errorf("ServiceAccount %s mounts its token by default", account.Name)
		}
	}
}

func TestKustomizeComponentAddsTheNamespaceOwnerManifests(t *testing.T) {
	const overlay = "resources: [../deploy]\ncomponents: [../deploy/namespace-owner]\nsortOptions: {order: fifo}\n"
	want := withoutFiles(append(load(t), loadNamespaceOwner(t)...))
	if diff := cmp.Diff(want, withoutFiles(kustomizeOverlay(t, overlay)), oneSpace); diff != "" {
		t.Errorf("(-files +kustomization):\n%s", diff)
	}
}
