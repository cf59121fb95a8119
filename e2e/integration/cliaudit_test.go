package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/audit"
	"github.com/image-webhook/image-webhook/webhook/status"
)

// auditedNamespaces are the namespaces of the test, by mode.
type auditedNamespaces struct{ deny, warn, off string }

// names replaces the names of the namespaces, which are generated, by their modes.
func (n auditedNamespaces) names(text string) string {
	return strings.NewReplacer(n.deny, "deny", n.warn, "warn", n.off, "off").Replace(text)
}

func TestAuditGroupsRealObjectsByOwner(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	names := auditedNamespaces{server.namespace(t, nil), server.namespace(t, modeLabels("warn")), server.namespace(t, modeLabels("off"))}
	server.createAudited(t, names)
	wantFindings := []string{
		"deny deny pod/old 1 nginx:latest",
		"off off pod/alone 1 gcr.io/org/alone:latest",
		"warn warn cronjob/backup 0 quay.io/org/backup",
		"warn warn deployment/web 2 docker.io/nginx:latest",
	}
	wantMirrored := []string{
		"docker.io/nginx:latest docker.io/library/nginx:latest docker.mirror.example/library/nginx:latest",
		"redis:7 docker.io/library/redis:7 docker.mirror.example/library/redis:7",
	}

	result := server.audit(t, server.Config, "")
	if diff := cmp.Diff(wantFindings, names.findings(result)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(result.Policy, "configmap/image-policy in namespace image-webhook, version ") || result.Assumed != "" || len(result.Problems) > 0 {
		t.Errorf("policy %q, assumed %q, problems %v", result.Policy, result.Assumed, result.Problems)
	}
	if one := server.audit(t, server.Config, names.warn); !cmp.Equal(names.findings(one), wantFindings[2:]) || one.Summary != (audit.Summary{Namespaces: 1, Pods: 3, Refused: 2, Owners: 2}) {
		t.Errorf("one namespace: findings %v, summary %v", names.findings(one), one.Summary)
	} else if diff := cmp.Diff(wantMirrored, mirrored(one)); diff != "" {
		t.Errorf("mirrored in one namespace (-want +got):\n%s", diff)
	}

	server.grantView(t, "cli-auditor", names.warn, names.off)
	limited := server.audit(t, server.As("cli-auditor"), "")
	if diff := cmp.Diff(wantFindings[1:], names.findings(limited)); diff != "" {
		t.Errorf("findings of a user with rights in two namespaces (-want +got):\n%s", diff)
	}
	wantProblem := `deny: cannot read pods and workloads: deployments.apps is forbidden: User "cli-auditor" cannot list resource "deployments" in API group "apps" in the namespace "deny": get the rights of the ClusterRole view there`
	if diff := cmp.Diff([]string{wantProblem}, names.problems(limited)); diff != "" {
		t.Errorf("problems of a user with rights in two namespaces (-want +got):\n%s", diff)
	}
}

func modeLabels(mode string) map[string]string {
	return map[string]string{"image-webhook.dev/mode": mode}
}

// audit audits the cluster as a user, with the policy of the cluster.
func (s *testServer) audit(t *testing.T, config *rest.Config, namespace string) *audit.Result {
	t.Helper()
	administrator, err := status.ReadInstalled(t.Context(), s.Config)
	if err != nil {
		t.Fatal(err)
	}
	rules, source, err := administrator.Policy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	user, err := status.ReadInstalled(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	result, err := audit.Run(t.Context(), audit.Options{Config: config, Namespace: namespace, Rules: rules, Policy: source, Assumed: user.Assumed, Scope: user.Scope})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// findings returns the findings in the namespaces of the test, sorted.
func (n auditedNamespaces) findings(r *audit.Result) (lines []string) {
	for _, f := range r.Findings {
		if slices.Contains([]string{n.deny, n.warn, n.off}, f.Namespace) {
			lines = append(lines, n.names(fmt.Sprintf("%s %s %s %d %s", f.Namespace, f.Mode, f.Owner, f.Pods, f.Image)))
		}
	}
	slices.Sort(lines)
	return lines
}

// problems returns the problems in the namespaces of the test.
func (n auditedNamespaces) problems(r *audit.Result) (lines []string) {
	for _, p := range r.Problems {
		if slices.Contains([]string{n.deny, n.warn, n.off}, p.Namespace) {
			lines = append(lines, n.names(p.Namespace+": "+p.Message))
		}
	}
	return lines
}

func mirrored(r *audit.Result) (lines []string) {
	for _, m := range r.Mirrored {
		lines = append(lines, m.Image+" "+m.From+" "+m.To)
	}
	return lines
}

// createAudited creates workloads and pods as the controllers of a cluster would. One pod is older than the
// mode of its namespace.
func (s *testServer) createAudited(t *testing.T, names auditedNamespaces) {
	t.Helper()
	const image, stored = "docker.io/nginx:latest", "docker.mirror.example/library/nginx:latest"
	ctx, create := t.Context(), metav1.CreateOptions{}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	template := func(image string) corev1.PodTemplateSpec {
		pod := newPod("", "", image)
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels}, Spec: pod.Spec}
	}
	meta := func(name string, controllers ...metav1.OwnerReference) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: names.warn, OwnerReferences: controllers}
	}
	deployment, err := s.client.AppsV1().Deployments(names.warn).Create(ctx, &appsv1.Deployment{ObjectMeta: meta("web"), Spec: appsv1.DeploymentSpec{Selector: selector, Template: template(image)}}, create)
	if err != nil {
		t.Fatal(err)
	}
	byDeployment := *metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))
	set, err := s.client.AppsV1().ReplicaSets(names.warn).Create(ctx, &appsv1.ReplicaSet{ObjectMeta: meta("web-1", byDeployment), Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template(image)}}, create)
	if err != nil {
		t.Fatal(err)
	}
	backup := template("quay.io/org/backup")
	backup.Spec.RestartPolicy = corev1.RestartPolicyNever
	cronJob := &batchv1.CronJob{ObjectMeta: meta("backup"), Spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: backup}}}}
	if _, err := s.client.BatchV1().CronJobs(names.warn).Create(ctx, cronJob, create); err != nil {
		t.Fatal(err)
	}
	s.setAuditedMode(t, names.deny, "off")
	pods := []*corev1.Pod{newPod(names.warn, "web-1-a", image), newPod(names.warn, "web-1-b", image), newPod(names.warn, "cache", "redis:7"), newPod(names.off, "alone", "gcr.io/org/alone:latest")}
	for _, pod := range pods[:2] {
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	}
	for _, pod := range pods {
		if _, err := s.create(t, pod); err != nil {
			t.Fatal(err)
		}
	}
	waitUntil(t, "a pod is admitted in the mode off", func() bool {
		_, err := s.create(t, newPod(names.deny, "old", "nginx:latest"))
		return err == nil
	})
	s.setAuditedMode(t, names.deny, "deny")
	if pod, err := s.client.CoreV1().Pods(names.warn).Get(ctx, "web-1-a", metav1.GetOptions{}); err != nil || pod.Spec.Containers[0].Image != stored {
		t.Fatalf("got %v, %v, want a pod with %s", pod, err, stored)
	}
}

func (s *testServer) setAuditedMode(t *testing.T, namespace, mode string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"image-webhook.dev/mode":%q}}}`, mode)
	if _, err := s.client.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// grantView lets a user list namespaces, and everything in some of them. The ClusterRole view is empty on an
// API server without controllers.
func (s *testServer) grantView(t *testing.T, user string, namespaces ...string) {
	t.Helper()
	ctx, create, rbac := t.Context(), metav1.CreateOptions{}, s.client.RbacV1()
	subjects := []rbacv1.Subject{userSubject(user)}
	for name, resource := range map[string]string{user: "namespaces", user + "-view": "*"} {
		rules := []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{resource}, Verbs: []string{"list"}}}
		if _, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, create); err != nil {
			t.Fatal(err)
		}
	}
	meta := metav1.ObjectMeta{Name: user}
	if _, err := rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: clusterRole(user), Subjects: subjects}, create); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range namespaces {
		binding := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: clusterRole(user + "-view"), Subjects: subjects}
		if _, err := rbac.RoleBindings(namespace).Create(ctx, binding, create); err != nil {
			t.Fatal(err)
		}
	}
	client, err := clientset.NewForConfig(s.As(user))
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the user has the rights", func() bool {
		_, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 1})
		for _, namespace := range namespaces {
			_, listErr := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: 1})
			err = errors.Join(err, listErr)
		}
		return err == nil
	})
}
