// Package staticfiles writes the policy of the manifests as static files for an API server on this machine:
// that of the kind cluster, and that of package controlplane. The directory of the files is beside the
// kubeconfig of the API server, so that other programs find it. The package does not start an API server.
package staticfiles

import (
	"fmt"
	"path/filepath"

	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/policy"
	"github.com/image-webhook/image-webhook/webhook/staticpolicy"
)

// admin is the user of the kubeconfigs. The guard lets it install and uninstall the webhook.
const admin = "kubernetes-admin"

// Directory returns the directory of the files for the API server of a kubeconfig. It may not exist.
func Directory(kubeconfig string) string { return filepath.Join(filepath.Dir(kubeconfig), "static") }

// CheckVersion returns an error for a Kubernetes version, such as "1.35", whose API server reads no policies
// from files.
func CheckVersion(minor string) error {
	if staticpolicy.Oldest.GreaterThan(utilversion.MustParseGeneric(minor)) {
		return fmt.Errorf("use static files: Kubernetes %s reads none: set K8S=%s or newer", minor, staticpolicy.Oldest)
	}
	return nil
}

// Write writes the files into a directory. path is the directory as the API server sees it.
func Write(directory, path string) error {
	content, err := deploy.PolicyFile()
	if err != nil {
		return err
	}
	rules, err := policy.Read("policy.yaml", []byte(content), policy.Flags{})
	if err != nil {
		return err
	}
	objects, err := celpolicy.New(rules, celpolicy.Options{For: staticpolicy.Oldest})
	if err != nil {
		return err
	}
	files, err := staticpolicy.Files(objects, staticpolicy.Options{Path: path, Admins: []string{admin}, Version: rules.Version})
	if err != nil {
		return err
	}
	return staticpolicy.Write(directory, files)
}
