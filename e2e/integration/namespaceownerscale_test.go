package integration

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
)

// metadataAuditPolicy logs all requests.
const metadataAuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

// BenchmarkNamespaceOwners measures the controller on an API server without nodes: a burst of
// new namespaces, and its start with many namespaces. docs/namespace-owner.md shows the
// results of
//
//	go test ./e2e/integration -run '^$' -bench NamespaceOwners -benchtime 1x -timeout 30m
//
// By default, kube-controller-manager sends at most 20 requests per second for all quotas. The
// benchmark measures a burst with this limit, and the rest without.
func BenchmarkNamespaceOwners(b *testing.B) {
	b.Run("default-quota-controller", func(b *testing.B) {
		s := startScaleServer(b)
		for b.Loop() {
			s.measureBurst(b, 1000)
		}
	})
	b.Run("unlimited-quota-controller", func(b *testing.B) {
		s := startScaleServer(b, "--kube-api-qps=5000", "--kube-api-burst=5000", "--concurrent-resource-quota-syncs=50")
		for b.Loop() {
			s.measureBurst(b, 1000)
			s.createNamespaces(b, 9000)
			s.measureStart(b)
		}
	})
}

// scaleServer is an API server with the controller, and a watch of all namespaces.
type scaleServer struct {
	*testServer
	controller *localinstall.Process
	restart    func() (*localinstall.Process, error)
	created    int
	bound      chan string // names of namespaces that became bound
}

func startScaleServer(b *testing.B, controllerFlags ...string) *scaleServer {
	b.Helper()
	server, err := startServerWith(apiserver.Options{Controllers: kubeControllers, ControllerFlags: controllerFlags, Flags: func(dir string) (map[string][]string, error) {
		policy := filepath.Join(dir, "audit-policy.yaml")
		return map[string][]string{"audit-policy-file": {policy}, "audit-log-path": {filepath.Join(dir, auditLog)}, "audit-log-mode": {"blocking"}},
			os.WriteFile(policy, []byte(metadataAuditPolicy), 0o600)
	}})
	if err != nil {
		b.Fatal(err)
	}
	installed, err := server.installWith(localinstall.Options{NamespaceOwner: deploy.NamespaceOwnerFiles()})
	if err != nil {
		b.Fatal(err)
	}
	owners := &ownerServer{testServer: server, installed: installed, name: "scale"}
	if err := owners.grantGroups(suiteContext); err != nil {
		b.Fatal(err)
	}
	waitUntil(b, "the webhook writes owners", func() bool {
		probe := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}
		created, err := owners.mustAs("alice", creators).CoreV1().Namespaces().Create(b.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && created.Annotations[ownerAnnotation] == "alice"
	})
	s := &scaleServer{testServer: server, bound: make(chan string, 20000)}
	s.restart = func() (*localinstall.Process, error) { return installed.StartReplica(suiteContext, ownedName) }
	if s.controller, err = installed.Process(ownedName); err != nil {
		b.Fatal(err)
	}
	s.watchBound(b)
	return s
}

// watchBound sends the name of each namespace that becomes bound.
func (s *scaleServer) watchBound(b *testing.B) {
	lw := cache.NewListWatchFromClient(s.client.CoreV1().RESTClient(), "namespaces", metav1.NamespaceAll, fields.Everything())
	report := func(object any) {
		if n := object.(*corev1.Namespace); n.Labels[tenancyLabel] == "ready" {
			s.bound <- n.Name
		}
	}
	_, watcher := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(lw, s.client), ObjectType: &corev1.Namespace{},
		Handler: cache.ResourceEventHandlerFuncs{UpdateFunc: func(before, after any) {
			if before.(*corev1.Namespace).Labels[tenancyLabel] != "ready" {
				report(after)
			}
		}},
	})
	ctx, stop := context.WithCancel(suiteContext)
	b.Cleanup(stop)
	go watcher.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), watcher.HasSynced) {
		b.Fatal("the watch of the namespaces has not synced")
	}
}

// createNamespaces creates namespaces as a user, 16 at a time, and waits until all are bound.
// It returns how long both took.
func (s *scaleServer) createNamespaces(b *testing.B, count int) (created, bound time.Duration) {
	b.Helper()
	user := (&ownerServer{testServer: s.testServer}).mustAs("alice", creators)
	started := time.Now()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(16)
	for range count {
		s.created++
		name := "scale-" + strconv.Itoa(s.created)
		group.Go(func() error {
			_, err := user.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	created = time.Since(started)
	for range count {
		select {
		case <-s.bound:
		case <-time.After(2 * time.Minute):
			b.Fatal("no further namespace becomes bound within two minutes")
		}
	}
	return created, time.Since(started)
}

// measureBurst creates namespaces and reports the time until the last one is bound, the
// requests of the controller and its memory.
func (s *scaleServer) measureBurst(b *testing.B, count int) {
	before := s.requests(b)
	created, bound := s.createNamespaces(b, count)
	b.ReportMetric(created.Seconds(), "s/burst-created")
	b.ReportMetric(bound.Seconds(), "s/burst-bound")
	b.ReportMetric(float64(s.requests(b)-before)/float64(count), "requests/namespace")
	b.ReportMetric(peakMemory(b, s.controller), "MiB/burst-peak")
}

// measureStart replaces the controller by a new process. It reports the time until a RoleBinding
// that was deleted before is there again, which means that all namespaces are in its caches.
func (s *scaleServer) measureStart(b *testing.B) {
	if err := s.controller.Stop(); err != nil {
		b.Fatal(err)
	}
	bindings := s.client.RbacV1().RoleBindings("scale-5000")
	if err := bindings.Delete(b.Context(), ownedName, metav1.DeleteOptions{}); err != nil {
		b.Fatal(err)
	}
	before, started := s.requests(b), time.Now()
	process, err := s.restart()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = process.Stop() })
	waitUntil(b, "the RoleBinding is there again", func() bool {
		_, err := bindings.Get(b.Context(), ownedName, metav1.GetOptions{})
		return err == nil
	})
	b.ReportMetric(time.Since(started).Seconds(), "s/start-repaired")
	b.ReportMetric(float64(s.requests(b)-before), "requests/start")
	b.ReportMetric(peakMemory(b, process), "MiB/start-peak")
	s.controller = process
}

// requests returns the number of requests of the controller so far, without those of the
// leader election. The controller is impersonated by an administrator.
func (s *scaleServer) requests(b *testing.B) (count int) {
	b.Helper()
	file, err := os.Open(filepath.Join(s.Dir, auditLog))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"impersonatedUser":{"username":"`+controllerUser) && !strings.Contains(lines.Text(), `"resource":"leases"`) {
			count++
		}
	}
	return count
}

// peakMemory returns the largest resident set of a process so far, in MiB.
func peakMemory(b *testing.B, p *localinstall.Process) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}
