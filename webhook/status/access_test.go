package status

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestModes(t *testing.T) {
	terminating := labeled("old", modeOff)
	terminating.DeletionTimestamp = &metav1.Time{Time: now}
	checkScenarios(t, []scenario{{"of all kinds", func(_ *testing.T, s *Snapshot, _ issued) {
		s.Namespaces.Value = []corev1.Namespace{
			labeled("shop", ""), labeled("denied", modeDeny), labeled("test", modeWarn), labeled("lab", modeWarn), labeled("ci", modeOff),
			labeled("kube-system", modeOff), labeled("typo", "of"), terminating,
		}
	}, []Check{
		{"modes", Warning, "namespace/typo", `the unknown mode "of" is treated as deny: use deny, warn or off`, "kubectl label namespace typo image-webhook.dev/mode=deny --overwrite"},
		{Name: "modes", Result: Info, Message: "mode off, no webhook is called: ci"},
		{Name: "modes", Result: Info, Message: "mode warn, no pod is denied: lab, test"},
	}}})
}

func TestAccessListsWhoMayChangeTheConfigurations(t *testing.T) {
	role := func(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
		return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	}
	binding := func(role string, subjects ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
		return rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: subjects}
	}
	rule := func(verb, group, resource string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
	}
	const group, validating = "admissionregistration.k8s.io", "validatingwebhookconfigurations"
	alice, team := rbacv1.Subject{Kind: "User", Name: "alice"}, rbacv1.Subject{Kind: "Group", Name: "team"}
	account := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "kube-system", Name: "collector"}
	checkScenarios(t, []scenario{{"by RBAC", func(_ *testing.T, s *Snapshot, _ issued) {
		s.Roles.Value = []rbacv1.ClusterRole{
			role("cluster-admin", rule("*", "*", "*")),
			role("patcher", rule("patch", group, validating, "image-webhook-warnings")),
			role("deleter", rule("deletecollection", group, "*"), rule("get", "", "pods")),
			role("system:controller:collector", rule("delete", "*", "*")),
			role("reader", rule("get", group, validating)),
			role("other-name", rule("patch", group, validating, "other")),
			role("other-group", rule("*", "apps", "*")),
			role("other-resource", rule("*", group, "validatingadmissionpolicies")),
			role("unbound", rule("*", "*", "*")),
		}
		s.Bindings.Value = []rbacv1.ClusterRoleBinding{
			binding("cluster-admin", team), binding("cluster-admin", alice, team), binding("patcher", alice), binding("deleter", alice),
			binding("system:controller:collector", account), binding("reader", alice), binding("other-name", alice),
			binding("other-group", alice), binding("other-resource", alice),
		}
	}, []Check{
		{Name: "access", Result: Info, Object: "clusterrole/cluster-admin", Message: "group team, user alice may change and delete the webhook configurations"},
		{Name: "access", Result: Info, Object: "clusterrole/patcher", Message: "user alice may change the webhook configurations"},
		{Name: "access", Result: Info, Object: "clusterrole/deleter", Message: "user alice may delete the webhook configurations"},
		{Name: "access", Result: Info, Object: "clusterroles system:*", Message: "service account kube-system/collector may change or delete the webhook configurations"},
	}}})
}

func TestRenewal(t *testing.T) {
	const logs = "kubectl logs -l job=renew --all-containers --prefix --tail=-1 -n image-webhook"
	cronJob := func(job *batchv1.CronJob) func(*testing.T, *Snapshot, issued) {
		return func(_ *testing.T, s *Snapshot, _ issued) { s.CronJob.Value = job }
	}
	suspended := hourly(time.Minute, time.Minute)
	suspended.Spec.Suspend = new(true)
	fresh := hourly(0, 0)
	fresh.CreationTimestamp, fresh.Status = metav1.Time{Time: now.Add(-time.Minute)}, batchv1.CronJobStatus{}
	never := hourly(0, 0)
	never.Status.LastSuccessfulTime = nil
	checkScenarios(t, []scenario{
		{"missing", func(_ *testing.T, s *Snapshot, _ issued) { s.CronJob.Err = notFound("cronjobs", renew) },
			[]Check{{"renewal", Problem, "cronjob/renew", "does not exist: nothing renews the certificate", "kubectl apply -f deploy/07-renew.yaml"}}},
		{"suspended", cronJob(suspended), []Check{{"renewal", Problem, "cronjob/renew", "is suspended: nothing renews the certificate",
			`kubectl patch cronjob renew -n image-webhook -p '{"spec":{"suspend":false}}'`}}},
		{"just created", cronJob(fresh), []Check{{Name: "renewal", Result: OK, Object: "cronjob/renew", Message: "last run never, last success never"}}},
		{"one failure", cronJob(hourly(43*time.Minute, 100*time.Minute)), []Check{
			{Name: "renewal", Result: OK, Object: "cronjob/renew", Message: "last run 43 minutes ago, last success 100 minutes ago"}}},
		{"two failures", cronJob(hourly(43*time.Minute, 161*time.Minute)), []Check{
			{"renewal", Warning, "cronjob/renew", "does not succeed: last run 43 minutes ago, last success 2 hours ago", logs}}},
		{"no success", cronJob(never), []Check{{"renewal", Warning, "cronjob/renew", "does not succeed: last run 0 seconds ago, last success never", logs}}},
	})
}
