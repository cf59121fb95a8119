package admissioncost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/tools/staticfiles"
	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
	"github.com/image-webhook/image-webhook/webhook/staticpolicy"
)

// staticKinds are the prefixes of the kinds in each file that this package adds to the static files. The API
// server applies all files of a directory, so the files of the installation stay in force.
var staticKinds = map[string]string{
	"mutating/loadtest.yaml":   "MutatingAdmissionPolicy",
	"validating/loadtest.yaml": "ValidatingAdmissionPolicy",
}

// staticHead is the first line of these files. It is for users who find one that a killed run has left.
const staticHead = "# Written by `bin/loadtest apiserver` for its own namespace: remove this file if no load test runs.\n"

// findStatic returns the directory of the static files of a kubeconfig's API server, or an empty string if there
// is none.
func findStatic(kubeconfig string) string {
	directory := staticfiles.Directory(kubeconfig)
	if _, err := os.Stat(filepath.Join(directory, staticpolicy.ConfigurationFile)); err != nil {
		return ""
	}
	return directory
}

// registerStatic adds files with the policies for a namespace.
func registerStatic(_ context.Context, c *cluster, namespace string) error {
	p, err := newPolicies(namespace, staticpolicy.Suffix, celpolicy.Complete)
	if err != nil {
		return err
	}
	files, err := p.files()
	if err != nil {
		return err
	}
	return generatedfiles.Write(c.static, files)
}

// files returns the policies as static files.
func (p *policies) files() (files []generatedfiles.File, err error) {
	for path, kind := range staticKinds {
		items := []any{}
		for _, object := range p.objects.All() {
			if !strings.HasPrefix(object.GetObjectKind().GroupVersionKind().Kind, kind) {
				continue
			}
			fields, err := celpolicy.Fields(object)
			if err != nil {
				return nil, err
			}
			items = append(items, fields)
		}
		list, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
		if err != nil {
			return nil, err
		}
		files = append(files, generatedfiles.File{Path: path, Content: staticHead + string(list)})
	}
	return files, nil
}

// removeFiles removes the files that this package added to a directory, which may be empty.
func removeFiles(directory string) (err error) {
	if directory == "" {
		return nil
	}
	for path := range staticKinds {
		if removed := os.Remove(filepath.Join(directory, path)); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	if err != nil {
		return fmt.Errorf("remove the static files of the measurement: %w", err)
	}
	return nil
}
