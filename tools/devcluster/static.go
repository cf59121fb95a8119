package devcluster

import (
	"fmt"
	"os"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/staticfiles"
	"github.com/image-webhook/image-webhook/webhook/staticpolicy"
)

// staticPath is the directory of the files on the control-plane node.
const staticPath = "/etc/kubernetes/image-webhook"

// UseStaticFiles lets Up create a cluster whose API server reads the policy of the manifests from files, and
// return an error if the cluster was created without them.
func (c *Cluster) UseStaticFiles() { c.static = true }

// staticFiles returns the directory of the files on this machine, which the node mounts. It is empty without
// files.
func (c *Cluster) staticFiles() string {
	if !c.static {
		return ""
	}
	return staticfiles.Directory(c.Kubeconfig())
}

// checkStatic returns an error if a running cluster was created without the files.
func (c *Cluster) checkStatic() error {
	if !c.static {
		return nil
	}
	if _, err := os.Stat(c.staticFiles()); err != nil {
		return fmt.Errorf("use cluster %s with static files: it was created without them: delete it with `bin/cluster down --name=%s`", c.Name, c.Name)
	}
	return nil
}

// writeStaticFiles writes the files before the cluster is created.
func (c *Cluster) writeStaticFiles() error {
	if !c.static {
		return nil
	}
	version, err := kubebuild.FindFromEnvironment(c.root)
	if err != nil {
		return err
	}
	if err := staticfiles.CheckVersion(version.Minor); err != nil {
		return fmt.Errorf("create cluster %s: %w", c.Name, err)
	}
	return staticfiles.Write(c.staticFiles(), staticPath)
}

// staticMount returns the field of kind's control-plane node that mounts the files.
func staticMount(directory string) string {
	if directory == "" {
		return ""
	}
	return fmt.Sprintf("  extraMounts:\n  - hostPath: %q\n    containerPath: %s\n", directory, staticPath)
}

// staticAPIServer returns the patch of kubeadm's configuration that lets the API server read the files. The
// feature gate is on by default in Kubernetes 1.37.
func staticAPIServer(directory string) string {
	if directory == "" {
		return ""
	}
	return `      admission-control-config-file: ` + staticPath + "/" + staticpolicy.ConfigurationFile + `
      feature-gates: ` + staticpolicy.FeatureGate + `=true
    extraVolumes:
    - name: image-webhook
      hostPath: ` + staticPath + `
      mountPath: ` + staticPath + `
      readOnly: true
`
}
