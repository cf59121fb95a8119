package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
)

// The tests of the feature "namespace owner" share four API servers with the manifests of
// deploy/namespace-owner:
//
//	rules     only the webhook and the policies
//	live      the controller, and kube-controller-manager with its controllers
//	pending   the controller without kube-controller-manager, so that no quota gets a status
//	replicas  kube-controller-manager; the test starts and kills controllers
//
// A comment "Trap:" names the public record of the mistake that a test excludes.

const (
	ownerAnnotation = "image-webhook.dev/owner"
	tenancyLabel    = "image-webhook.dev/tenancy"
	ownerCondition  = "image-webhook.dev/OwnerBound"
	ownedName       = "namespace-owner" // of all objects of the controller
	controllerUser  = "system:serviceaccount:image-webhook:namespace-owner"
	anonymousUser   = "system:anonymous"
	mastersGroup    = "system:masters"
)

// Groups with rights on all namespaces, except those that a test is about.
const (
	creators = "test:creators" // have the ClusterRole image-webhook-namespace-creator
	writers  = "test:writers"  // may also write namespaces and their subresources
	stewards = "test:stewards" // have the verb set-owner
	admins   = "test:admins"   // have the ClusterRole cluster-admin
)

// ownerServer is an API server with the feature.
type ownerServer struct {
	*testServer
	installed *localinstall.Installation
	name      string
	// makesReady says that new namespaces become ready.
	makesReady bool
	// unchanged says that the controller has the template of the manifests.
	unchanged atomic.Bool
}

// ownerServerOptions configure an ownerServer.
type ownerServerOptions struct {
	name        string
	controllers []string // of kube-controller-manager
	controlled  bool     // whether our controller runs
}

// kubeControllers are the controllers of kube-controller-manager that a namespace needs. Without
// the last one, the built-in ClusterRole admin has no rules.
var kubeControllers = []string{"resourcequota-controller", "namespace-controller", "serviceaccount-controller", "clusterrole-aggregation-controller"}

var (
	startRulesServer = sync.OnceValues(func() (*ownerServer, error) { return startOwnerServer(ownerServerOptions{name: "rules"}) })
	startLiveServer  = sync.OnceValues(func() (*ownerServer, error) {
		return startOwnerServer(ownerServerOptions{"live", kubeControllers, true})
	})
	startPendingServer = sync.OnceValues(func() (*ownerServer, error) {
		return startOwnerServer(ownerServerOptions{name: "pending", controlled: true})
	})
	startReplicasServer = sync.OnceValues(func() (*ownerServer, error) {
		return startOwnerServer(ownerServerOptions{"replicas", kubeControllers, false})
	})
)

// sharedOwnerServer returns the server that one of the functions above starts.
func sharedOwnerServer(t *testing.T, start func() (*ownerServer, error)) *ownerServer {
	t.Helper()
	server, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// ownerAuditPolicy logs the writes of the objects that the controller writes. Without
// kube-controller-manager, no test reads the log.
const ownerAuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    verbs: [create, update, patch, delete]
    resources:
      - {group: "", resources: [namespaces/status, limitranges, resourcequotas, resourcequotas/status]}
      - {group: rbac.authorization.k8s.io, resources: [rolebindings]}
  - level: None
`

func startOwnerServer(o ownerServerOptions) (*ownerServer, error) {
	started, err := startServerWith(apiserver.Options{Controllers: o.controllers, Flags: func(dir string) (map[string][]string, error) {
		if len(o.controllers) == 0 {
			return nil, nil
		}
		policy := filepath.Join(dir, "audit-policy.yaml")
		return map[string][]string{
			"audit-policy-file": {policy},
			"audit-log-path":    {filepath.Join(dir, auditLog)},
			"audit-log-mode":    {"blocking"},
		}, os.WriteFile(policy, []byte(ownerAuditPolicy), 0o600)
	}})
	if err != nil {
		return nil, err
	}
	server := &ownerServer{testServer: started, name: o.name, makesReady: o.controlled && len(o.controllers) > 0}
	server.unchanged.Store(true)
	manifests := deploy.NamespaceOwnerFiles()
	if !o.controlled {
		manifests = slices.DeleteFunc(manifests, func(f deploy.File) bool { return strings.HasSuffix(f.Name, "-controller.yaml") })
	}
	if server.installed, err = server.installWith(localinstall.Options{NamespaceOwner: manifests}); err != nil {
		return nil, err
	}
	if err := server.grantGroups(suiteContext); err != nil {
		return nil, err
	}
	return server, server.waitForRules(suiteContext)
}

// grantGroups gives the groups of the tests their rights.
func (s *ownerServer) grantGroups(ctx context.Context) error {
	all := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	for _, role := range []rbacv1.ClusterRole{
		testRole(writers, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: all}),
		testRole(stewards, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"set-owner"}}),
	} {
		if _, err := s.client.RbacV1().ClusterRoles().Create(ctx, &role, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	for group, role := range map[string]string{
		creators: "image-webhook-namespace-creator", admins: "cluster-admin",
		writers: writers, stewards: stewards,
	} {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: group},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}},
		}
		if _, err := s.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func testRole(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

// waitForRules waits until the API server evaluates the four policies and calls the webhook.
func (s *ownerServer) waitForRules(ctx context.Context) error {
	probe, err := s.createNamespace(ctx, ownership{"probe", "pending"}.meta("rules-probe"))
	if err != nil {
		return err
	}
	user, steward, admin, controller := s.mustAs("probe", creators, writers), s.mustAs("probe", writers, stewards), s.mustAs("probe", admins), s.mustAs(controllerUser, writers)
	dryRun, status := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}
	label := []byte(`{"metadata":{"labels":{"` + tenancyLabel + `":"probe"}}}`)
	probes := map[string]func() bool{
		"the webhook writes owners": func() bool {
			created, err := user.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}}, dryRun)
			return err == nil && created.Annotations[ownerAnnotation] == "probe"
		},
		"the policy for new namespaces": func() bool {
			_, err := steward.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-", Labels: map[string]string{tenancyLabel: "ready"}}}, dryRun)
			return isPolicyDenial(err)
		},
		"the policy for updates": func() bool {
			_, err := user.CoreV1().Namespaces().Patch(ctx, probe.Name, types.MergePatchType, label, status)
			return isPolicyDenial(err)
		},
		"the policy for pending namespaces": func() bool {
			_, err := admin.CoreV1().ConfigMaps(probe.Name).Create(ctx, configMap("probe"), dryRun)
			return isPolicyDenial(err) || s.makesReady
		},
		"the policy for the controller": func() bool {
			_, err := controller.CoreV1().Namespaces().Patch(ctx, probe.Name, types.MergePatchType, []byte(`{"metadata":{"labels":{"probe":"yes"}}}`), status)
			return isPolicyDenial(err)
		},
	}
	for what, holds := range probes {
		err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return holds(), nil })
		if err != nil {
			return fmt.Errorf("wait for %s of server %s: %w", what, s.name, err)
		}
	}
	return s.client.CoreV1().Namespaces().Delete(ctx, probe.Name, metav1.DeleteOptions{})
}

// mustAs returns a client that impersonates a user. It panics if the configuration is invalid,
// which it never is.
func (s *ownerServer) mustAs(user string, groups ...string) clientset.Interface {
	client, err := clientset.NewForConfig(s.As(user, groups...))
	if err != nil {
		panic(err)
	}
	return client
}

// isPolicyDenial reports whether a policy has denied a request.
func isPolicyDenial(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'image-webhook-namespace-owner-")
}
