package controlplane

import (
	"context"
	"os"
	"path/filepath"

	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/controlplane/imageplugin"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/staticfiles"
	"github.com/image-webhook/image-webhook/webhook/staticpolicy"
)

// StaticFiles returns the directory of the static files, which exists while an API server that reads them runs.
func (p *Plane) StaticFiles() string { return staticfiles.Directory(p.Kubeconfig()) }

// checkStatic returns an error if Static is set and the version reads no policies from files.
func (p *Plane) checkStatic(programs *kubebuild.Programs) error {
	if !p.Static {
		return nil
	}
	return staticfiles.CheckVersion(programs.Minor)
}

// startServer starts the API server. With static files, it also returns the plugin that the API server runs.
func (p *Plane) startServer(ctx context.Context, programs *kubebuild.Programs, root string, report *progress.Reporter) (server *apiserver.Server, plugin *imageplugin.Plugin, err error) {
	o := apiserver.Options{Programs: programs, Controllers: controllers}
	if p.Static {
		o.Flags = func(dir string) (map[string][]string, error) {
			if plugin, err = imageplugin.New(root, filepath.Join(dir, "image-policy")); err != nil {
				return nil, err
			}
			return p.staticFlags(dir, plugin)
		}
	}
	server, err = apiserver.Start(ctx, o, report)
	return server, plugin, err
}

// staticFlags writes the static files, and an AdmissionConfiguration with the plugin into the API server's
// directory. It returns the flags of the API server. The feature gate is on by default in Kubernetes 1.37.
func (p *Plane) staticFlags(dir string, plugin *imageplugin.Plugin) (map[string][]string, error) {
	if err := staticfiles.Write(p.StaticFiles(), p.StaticFiles()); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(p.StaticFiles(), staticpolicy.ConfigurationFile))
	if err != nil {
		return nil, err
	}
	if content, err = plugin.AddTo(content); err != nil {
		return nil, err
	}
	configuration := filepath.Join(dir, staticpolicy.ConfigurationFile)
	return map[string][]string{
		"admission-control-config-file": {configuration},
		"enable-admission-plugins":      {imageplugin.Name},
		"feature-gates":                 {staticpolicy.FeatureGate + "=true"},
	}, os.WriteFile(configuration, content, 0o600)
}

// startPlugin starts the webhook that the plugin calls. Until then, the API server admits pods without it.
func (p *Plane) startPlugin(ctx context.Context, plugin *imageplugin.Plugin) error {
	if plugin == nil {
		return nil
	}
	return plugin.Start(ctx, filepath.Join(p.programDir(), "image-webhook"), os.Stderr)
}

// restartPlugin starts the webhook that the plugin calls again. It has a fixed address, so the old process ends
// first, whether it still works or not.
func (p *Plane) restartPlugin(ctx context.Context, plugin *imageplugin.Plugin) error {
	_ = plugin.Stop()
	return p.startPlugin(ctx, plugin)
}
