package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/image-webhook/image-webhook/tools/apt"
	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// EnforceNetworkPolicies lets the nodes enforce NetworkPolicies, unless they do. kind's own node
// images do. On the images of package nodeimage, it starts the policy controller of kube-router as
// a service on each node, because they have no network add-on.
func (c *Cluster) EnforceNetworkPolicies(ctx context.Context) error {
	if enforced, err := c.EnforcesNetworkPolicies(ctx); err != nil || enforced {
		return err
	}
	if err := apt.Ensure(ctx, c.report, "to enforce NetworkPolicies", "ipset"); err != nil {
		return err
	}
	program, err := c.buildKubeRouter(ctx)
	if err != nil {
		return fmt.Errorf("build kube-router: %w", err)
	}
	err = c.report.Step("start kube-router on the nodes", func(*progress.Step) error { return c.startKubeRouter(ctx, program) })
	if err != nil {
		return fmt.Errorf("enforce NetworkPolicies in cluster %s: %w", c.Name, err)
	}
	return nil
}

// EnforcesNetworkPolicies reports whether the nodes enforce NetworkPolicies.
func (c *Cluster) EnforcesNetworkPolicies(ctx context.Context) (bool, error) {
	client, err := c.Client()
	if err != nil {
		return false, err
	}
	if hasAddOn, err := hasNetworkAddOn(ctx, client); err != nil || hasAddOn {
		return hasAddOn, err
	}
	return c.RunOnNodes(ctx, "systemctl", "is-active", "--quiet", "kube-router.service") == nil, nil
}

// buildKubeRouter returns the path of kube-router in the cache. It compiles a missing one, which
// takes minutes.
func (c *Cluster) buildKubeRouter(ctx context.Context) (string, error) {
	dir := filepath.Join(c.root, "tools", "pins", "networkpolicy")
	key, err := gobuild.Key(ctx, dir, gobuild.DefaultFlags, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
	if err != nil {
		return "", err
	}
	cache, err := workspace.CacheDir("networkpolicy")
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "kube-router-"+key)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	return program, c.report.Step("compile kube-router", func(step *progress.Step) error {
		return gobuild.Build(ctx, gobuild.Module{Dir: dir}, step,
			gobuild.Program{Package: "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", Output: program})
	})
}

// kubeRouterDir is the directory of kube-router and ipset on the nodes.
const kubeRouterDir = "/opt/kube-router"

// ipsetScript runs ipset with the libraries of the machine that it comes from.
const ipsetScript = `#!/bin/sh
exec ` + kubeRouterDir + `/ld.so --library-path ` + kubeRouterDir + ` ` + kubeRouterDir + `/ipset.bin "$@"
`

const kubeRouterService = `[Unit]
Description=Policy controller of kube-router

[Service]
Environment=PATH=` + kubeRouterDir + `:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
ExecStart=` + kubeRouterDir + `/kube-router --kubeconfig=` + kubeRouterDir + `/kubeconfig --hostname-override=%H \
  --run-firewall=true --run-router=false --run-service-proxy=false
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`

// startKubeRouter copies the files of kube-router to the nodes and starts it.
func (c *Cluster) startKubeRouter(ctx context.Context, program string) error {
	files, err := ipsetFiles(ctx)
	if err != nil {
		return err
	}
	files[kubeRouterDir+"/kube-router"] = program
	for path, source := range files {
		if err := c.copyFile(ctx, path, source); err != nil {
			return err
		}
	}
	kubeconfig, err := c.adminKubeconfig(ctx)
	if err != nil {
		return err
	}
	for path, content := range map[string]string{
		kubeRouterDir + "/kubeconfig":             kubeconfig,
		kubeRouterDir + "/ipset":                  ipsetScript,
		"/etc/systemd/system/kube-router.service": kubeRouterService,
	} {
		if err := c.WriteFile(ctx, path, content); err != nil {
			return err
		}
	}
	if err := c.RunOnNodes(ctx, "chmod", "-R", "u+x", kubeRouterDir); err != nil {
		return err
	}
	return c.RunOnNodes(ctx, "systemctl", "enable", "--now", "--quiet", "kube-router.service")
}

const ipset = "/usr/sbin/ipset"

// ipsetFiles returns the sources on this machine of ipset, its libraries and their loader, by
// their paths on the nodes. The nodes may have older libraries.
func ipsetFiles(ctx context.Context) (map[string]string, error) {
	listed, err := subprocess.Command{Args: []string{"ldd", ipset}}.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the libraries of ipset: %w", err)
	}
	files := map[string]string{kubeRouterDir + "/ipset.bin": ipset}
	for name, source := range libraries(listed) {
		files[kubeRouterDir+"/"+name] = source
	}
	return files, nil
}

// library matches a line of the output of ldd. Its group is the path of a library.
var library = regexp.MustCompile(`(?m)^\s*(?:\S+ => )?(/\S+) \(0x`)

// libraries returns the paths in the output of ldd by their names. The loader is called ld.so.
func libraries(listed string) map[string]string {
	paths := map[string]string{}
	for _, match := range library.FindAllStringSubmatch(listed, -1) {
		name := filepath.Base(match[1])
		if strings.HasPrefix(name, "ld-") {
			name = "ld.so"
		}
		paths[name] = match[1]
	}
	return paths
}

// copyFile copies a file of this machine to the nodes.
func (c *Cluster) copyFile(ctx context.Context, path, source string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return c.WriteFile(ctx, path, string(content))
}

// adminKubeconfig returns the kubeconfig of the administrator with an address that all nodes
// can reach.
func (c *Cluster) adminKubeconfig(ctx context.Context) (kubeconfig string, err error) {
	found, err := c.nodes()
	if err != nil {
		return "", err
	}
	controlPlanes, err := nodeutils.ControlPlaneNodes(found)
	if err != nil || len(controlPlanes) == 0 {
		return "", errors.Join(errors.New("the cluster has no control-plane node"), err)
	}
	var content strings.Builder
	err = controlPlanes[0].CommandContext(ctx, "cat", "/etc/kubernetes/admin.conf").SetStdout(&content).Run()
	return content.String(), explainKind(err)
}

// connectScript connects to the address $2, port $3, in the network of the pod with the address $1.
// Its exit code is 0 if it is connected, 1 if it is not, and 2 if the pod does not run here.
const connectScript = `
for network in /run/netns/*; do
	if nsenter --net="$network" ip -o -4 address | grep --quiet " $1/"; then
		nsenter --net="$network" timeout 3 bash -c "exec 3<>/dev/tcp/$2/$3" || exit 1
		exit 0
	fi
done
exit 2`

// CanConnect reports whether the network of a pod lets its processes connect to an address.
func (c *Cluster) CanConnect(ctx context.Context, pod corev1.Pod, host, port string) (bool, error) {
	args := []string{c.Engine.Name, "exec", pod.Spec.NodeName, "bash", "-c", connectScript, "connect", pod.Status.PodIP, host, port}
	err := subprocess.Command{Args: args}.Run(ctx)
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}
