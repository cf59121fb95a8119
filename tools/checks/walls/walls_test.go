// Package walls checks the import rules of this repository. Tests may import any package
// unless a rule is about tests.
package walls

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

const (
	root   = "../../.."
	module = "github.com/image-webhook/image-webhook/"
)

// goPackage is a package as `go list -json` describes it.
type goPackage struct {
	Name         string
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// path returns the directory of the package in the repository.
func (p goPackage) path() string { return strings.TrimPrefix(p.ImportPath, module) }

func packages(t *testing.T) (listed []goPackage) {
	t.Helper()
	output, err := subprocess.Command{
		Dir:  root,
		Args: []string{"go", "list", "-json=Name,ImportPath,Imports,TestImports,XTestImports,Deps", "./..."},
	}.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(strings.NewReader(output)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return listed
		} else if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, p)
	}
}

// find returns the package in a directory of the repository.
func find(t *testing.T, listed []goPackage, path string) goPackage {
	t.Helper()
	i := slices.IndexFunc(listed, func(p goPackage) bool { return p.path() == path })
	if i < 0 {
		t.Fatalf("there is no package %s: change the rule about it", path)
	}
	return listed[i]
}

// isBelow reports whether an import path is one of the prefixes or below it.
func isBelow(path string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		return path == prefix || strings.HasPrefix(path, prefix+"/")
	})
}

// importPaths returns the import paths of directories of this repository.
func importPaths(directories ...string) (paths []string) {
	for _, directory := range directories {
		paths = append(paths, module+directory)
	}
	return paths
}

// refuse reports each import that is one of the forbidden paths or below it.
func refuse(t *testing.T, importer string, imports []string, reason string, forbidden ...string) {
	t.Helper()
	for _, path := range imports {
		if isBelow(path, forbidden...) {
			t.Errorf("%s imports %s: %s", importer, strings.TrimPrefix(path, module), reason)
		}
	}
}

func TestServerImportsNeitherToolsNorKubernetesClients(t *testing.T) {
	server := find(t, packages(t), "webhook/cmd/image-webhook")
	if len(server.Deps) == 0 {
		t.Fatal("the server has no dependencies: the check is broken")
	}
	refuse(t, server.path(), server.Deps, "the server must not depend on the tools", importPaths("tools", "deploy", "e2e")...)
	refuse(t, server.path(), server.Deps, "the server must not depend on Kubernetes: it needs only a few fields of a review", "k8s.io", "sigs.k8s.io")
	refuse(t, server.path(), server.Deps, "the server asks no registry", "github.com/google/go-containerregistry")
}

func TestOnlyThePluginContainsItsVerbs(t *testing.T) {
	const plugin = "webhook/cmd/kubectl-image_webhook"
	for _, p := range packages(t) {
		if p.Name == "main" && p.path() != plugin {
			refuse(t, p.path(), p.Deps, "only the plugin of kubectl checks images and installations",
				importPaths("webhook/status", "webhook/check", "webhook/manifest", "webhook/audit", "webhook/report", "webhook/askmirrors")...)
		}
	}
}

func TestImageImportsNothingOfKubernetesOrThisRepository(t *testing.T) {
	image := find(t, packages(t), "webhook/image")
	refuse(t, image.path(), image.Deps, "webhook/image must not know Kubernetes", "k8s.io", "sigs.k8s.io")
	refuse(t, image.path(), image.Deps, "webhook/image must not know other packages of this repository", strings.TrimSuffix(module, "/"))
}

func TestPackagesImportOnlyAllowedPackages(t *testing.T) {
	listed := packages(t)
	for _, rule := range []struct {
		importers, reason string
		forbidden         []string
	}{
		{"webhook", "the product must not depend on the tools", []string{"tools", "e2e"}},
		{"webhook/jsonfields", "the decoder must not know the fields", []string{"webhook/podimages", "webhook/image", "webhook/admission"}},
		{"webhook/podimages", "the table of image fields must not check images", []string{"webhook/image", "webhook/admission"}},
		{"webhook/manifest", "the reader of manifests must not know the rules", []string{"webhook/image", "webhook/admission", "webhook/policy"}},
		{"webhook/report", "the formats must not know where findings come from", []string{"webhook/admission", "webhook/image", "webhook/manifest", "webhook/check", "webhook/audit"}},
		{"webhook/server", "the listener must not know the rules", []string{"webhook/image", "webhook/podimages", "webhook/admission"}},
		{"webhook/admission", "the rules must not know the listener", []string{"webhook/server"}},
		{"deploy", "the manifests must not depend on code", []string{"webhook", "tools", "e2e"}},
		{"tools", "only tests may use packages for tests", []string{"tools/checks"}},
		{"webhook", "only tests may use a package for tests", []string{"webhook/server/servertest"}},
		{"tools", "the tools must not depend on the suite", []string{"e2e"}},
	} {
		for _, p := range listed {
			if isBelow(p.path(), rule.importers) && !isBelow(p.path(), "tools/checks") {
				refuse(t, p.path(), p.Imports, rule.reason, importPaths(rule.forbidden...)...)
			}
		}
	}
}

func TestSpecsDoNotUseTheProduct(t *testing.T) {
	for _, p := range packages(t) {
		if isBelow(p.path(), "e2e") && !isBelow(p.path(), "e2e/integration") {
			refuse(t, p.path(), slices.Concat(p.TestImports, p.XTestImports), "specs must not use the code of the webhook", importPaths("webhook")...)
		}
	}
}

func TestProgramsAreInTheirDirectoriesAndNotImported(t *testing.T) {
	listed := packages(t)
	programs := []string{"webhook/cmd", "tools/cmd", "tools/images"}
	for _, p := range listed {
		if isProgram := p.Name == "main"; isProgram != isBelow(p.path(), programs...) {
			t.Errorf("%s: is a program: %t: move programs to %s, and libraries out of them", p.path(), isProgram, strings.Join(programs, ", "))
		}
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if path != p.ImportPath && isBelow(path, importPaths(programs...)...) {
				t.Errorf("%s imports the program %s: move the code to a library", p.path(), strings.TrimPrefix(path, module))
			}
		}
	}
}
