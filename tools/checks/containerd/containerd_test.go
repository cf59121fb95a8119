// Package containerd compares what containerd does with the files of package hoststoml and what the
// webhook does with the same mirror rules.
package containerd

import (
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/log"
	"github.com/distribution/reference"

	"github.com/image-webhook/image-webhook/webhook/hoststoml"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// sources and targets are the names of which rules are made.
var (
	sources = []string{
		"*", "docker.io", "docker.io/library", "docker.io/team/app", "quay.io", "QUAY.IO:443/team", "quay.io:8443", "m.example",
		"m.example/team", "localhost:5000", "[fd00::1]:5000", "[fd00::1]",
	}
	targets = []string{
		"", "m.example", "m.example/hub", "m.example/hub/library", "m.example/hub/team", "m.example:5000/team", "docker.io", "docker.io/team",
		"quay.io", "localhost:5000", "[::1]:5000/hub", "[fd00::2]", "M.example:443",
	}
	images = []string{
		"nginx", "index.docker.io/nginx:1", "team/app:1", "docker.io:443/library/nginx", "quay.io/team/app:1", "quay.io:443/team/app", "quay.io/app",
		"quay.io:8443/team/app", "m.example/app", "m.example:443/team/app", "m.example:5000/app", "localhost:5000/app", "localhost/app",
		"[fd00::1]:5000/app", "[fd00::1]/team/app", "[fd00::2]/app", "ghcr.io/team/app@sha256:" + strings.Repeat("0", 64),
	}
)

// The seed is fixed, so that each run has the same rules.
func TestContainerdAsksTheMirrorsOfTheWebhook(t *testing.T) {
	log.L.Logger.SetOutput(io.Discard)
	random := rand.New(rand.NewPCG(1, 2))
	compared, refused := 0, 0
	for range 5000 {
		rules := someRules(random)
		mirrors, err := image.NewMirrors(rules)
		if err != nil {
			continue
		}
		files, err := hoststoml.Files(mirrors, "0123456789ab")
		if err != nil {
			refused++
			continue
		}
		compared += compare(t, mirrors, files)
	}
	t.Logf("%d images compared, %d policies refused", compared, refused)
	if compared < 10000 || refused < 500 {
		t.Errorf("%d images compared and %d policies refused: the rules are not varied enough", compared, refused)
	}
}

// someRules returns up to four rules.
func someRules(random *rand.Rand) (rules []image.Mirror) {
	for range 1 + random.IntN(4) {
		rules = append(rules, image.Mirror{Source: sources[random.IntN(len(sources))], Mirror: targets[random.IntN(len(targets))]})
	}
	return rules
}

// compare returns how many images it has compared.
func compare(t *testing.T, mirrors image.Mirrors, files []hoststoml.File) (compared int) {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "certs.d")
	if err := hoststoml.Write(directory, files); err != nil {
		t.Fatalf("%s: %v", mirrors, err)
	}
	hosts := config.ConfigureHosts(t.Context(), config.HostOptions{HostDir: config.HostDirFromRoot(directory)})
	for _, name := range images {
		want, ok := webhookURLs(mirrors, name)
		if !ok {
			continue
		}
		compared++
		if got := containerdURLs(t, hosts, name); !slices.Equal(got, want) {
			t.Errorf("rules %s: containerd gets %s from %q, and the webhook says %q", mirrors, name, got, want)
		}
	}
	return compared
}

// webhookURLs returns the URL of the image on its mirror, if it has one, and on its origin. It returns
// false if the webhook cannot write the name on the mirror.
func webhookURLs(mirrors image.Mirrors, name string) (urls []string, ok bool) {
	ref, err := image.Parse(name)
	if err != nil {
		return nil, false
	}
	mirrored, rule := mirrors.Rewrite(ref)
	if rule != "" {
		urls = append(urls, url(mirrored.Registry, mirrored.Path))
	} else if strings.Contains(mirrors.String(), "=docker.io") && !strings.Contains(ref.Path, "/") {
		return nil, false // on docker.io, a name with one component has another meaning
	}
	return append(urls, url(ref.Registry, ref.Path)), true
}

func url(registry, path string) string {
	registry = strings.TrimSuffix(strings.ToLower(registry), ":443")
	if registry == "docker.io" {
		registry = "registry-1.docker.io"
	}
	return "https://" + registry + "/v2/" + path
}

// containerdURLs returns the URLs that containerd tries, in this order.
func containerdURLs(t *testing.T, hosts docker.RegistryHosts, name string) (urls []string) {
	t.Helper()
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		t.Fatal(err)
	}
	found, err := hosts(reference.Domain(named))
	if err != nil {
		t.Fatal(err)
	}
	for i, host := range found {
		if !host.Capabilities.Has(docker.HostCapabilityPull | docker.HostCapabilityResolve) {
			t.Errorf("%s cannot be pulled from %s", name, host.Host)
		}
		if isMirror := i < len(found)-1; isMirror && host.Capabilities.Has(docker.HostCapabilityPush) {
			t.Errorf("%s can be pushed to the mirror %s", name, host.Host)
		}
		path, ok := strings.CutPrefix(host.Path, "/v2")
		if host.Scheme != "https" || !ok { // on the node itself too, before HTTP
			t.Errorf("%s is pulled from %s://%s%s", name, host.Scheme, host.Host, host.Path)
		}
		urls = append(urls, url(host.Host, strings.TrimPrefix(path+"/"+reference.Path(named), "/")))
	}
	return urls
}
