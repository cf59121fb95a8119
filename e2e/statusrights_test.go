package e2e

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	viewer     = "viewer"            // a user with the rights of statusRights
	viewerRole = "e2e-status-viewer" // the ClusterRole of the user
)

// right is a right that the plugin uses.
type right struct{ verb, group, resource string }

func (r right) String() string { return r.verb + " " + r.resource }

// statusRights are the rights that docs/operations.md lists.
var statusRights = []right{
	{"get", "", "namespaces"},
	{"list", "", "namespaces"},
	{"get", "apps", "deployments"},
	{"list", "", "pods"},
	{"create", "", "pods/portforward"},
	{"get", "", "services"},
	{"list", "", "services"},
	{"list", "discovery.k8s.io", "endpointslices"},
	{"get", "", "secrets"},
	{"get", "", "configmaps"},
	{"get", "batch", "cronjobs"},
	{"list", "admissionregistration.k8s.io", "validatingwebhookconfigurations"},
	{"list", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"},
	{"get", "admissionregistration.k8s.io", "validatingadmissionpolicies"},
	{"list", "admissionregistration.k8s.io", "validatingadmissionpolicybindings"},
	{"list", "rbac.authorization.k8s.io", "clusterroles"},
	{"list", "rbac.authorization.k8s.io", "clusterrolebindings"},
}

// grant gives the user all rights except one, until the spec ends.
func grant(ctx context.Context, missing right) {
	GinkgoHelper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: viewerRole}}
	for _, r := range statusRights {
		if r != missing {
			role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: []string{r.verb}, APIGroups: []string{r.group}, Resources: []string{r.resource}})
		}
	}
	// The API server checks the verb get of a WebSocket, too.
	role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods/portforward"}})
	Expect(client.Resources().Update(ctx, role)).To(Succeed()) // creates a ClusterRole that does not exist
	if kubectl(ctx, "get", "clusterrolebinding", viewerRole).Exit != 0 {
		succeed(ctx, "create", "clusterrolebinding", viewerRole, "--clusterrole="+viewerRole, "--user="+viewer)
		DeferCleanup(func(ctx SpecContext) { succeed(ctx, "delete", "clusterrole,clusterrolebinding", viewerRole) })
	}
	if missing != (right{}) { // the API server uses all rules of a role from the same moment
		Eventually(func() string { return strings.TrimSpace(execKubectl(ctx, "", missing.canI()...).Stdout) }).WithContext(ctx).Should(Equal("no"), missing.String())
	}
}

// canI returns the arguments of the kubectl command that asks whether the user has the right.
func (r right) canI() []string {
	resource, subresource, _ := strings.Cut(r.resource, "/")
	if r.group != "" {
		resource += "." + r.group
	}
	args := []string{"auth", "can-i", r.verb, resource, "-A", "--as=" + viewer}
	if subresource != "" {
		args = append(args, "--subresource="+subresource)
	}
	return args
}
