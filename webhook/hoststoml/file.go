package hoststoml

import (
	"fmt"
	"net"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
)

// docker.io is only a name: the registry has another one.
const (
	dockerHub       = "docker.io"
	dockerHubServer = "registry-1.docker.io"
)

// generator begins the comment of each file.
const generator generatedfiles.Generator = "kubectl image-webhook policy --hosts-toml"

// newFile returns a file whose head says where it is from.
func newFile(directory, version, body string) File {
	return File{directory, generator.Content(version, body)}
}

// directories returns the directories in which containerd searches the file of a registry, in all
// spellings of the default port.
func directories(registry string) []string {
	host, port := splitPort(registry)
	if port != "" {
		return []string{host + "_" + port + "_"}
	}
	return []string{host, host + "_443_"}
}

// splitPort splits a registry into its host and its port, which may be empty.
func splitPort(registry string) (host, port string) {
	if i := strings.LastIndexByte(registry, ':'); i >= 0 && !strings.HasSuffix(registry, "]") {
		return registry[:i], registry[i+1:]
	}
	return registry, ""
}

// server returns the lines that name the origin of a registry. For a registry on the node itself, only
// containerd's default tries HTTPS and then HTTP.
func server(registry string) string {
	if isLocal(registry) {
		return ""
	}
	return fmt.Sprintf("server = %q\n", url(place{registry: registry}))
}

// host returns the lines for a mirror, which are empty for the zero value. containerd asks the mirror
// first, also for the digest of a tag. On the node itself, it tries HTTPS and then HTTP, as it does for
// images whose names have that registry.
func host(mirror place) string {
	if mirror.registry == "" {
		return ""
	}
	lines := fmt.Sprintf("\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url(mirror))
	if mirror.path != "" {
		lines += "  override_path = true\n"
	}
	if isLocal(mirror.registry) {
		lines += "  skip_verify = true\n"
	}
	return lines
}

// url returns the address of a registry, or the address below which a mirror with a path has the API.
func url(p place) string {
	address, scheme := p.registry, "https://"
	if address == dockerHub {
		address = dockerHubServer
	}
	if _, port := splitPort(address); port != "" && isLocal(address) {
		scheme = "http://"
	}
	if p.path == "" {
		return scheme + address
	}
	return scheme + address + "/v2/" + p.path
}

// isLocal reports whether a registry is on the node itself.
func isLocal(registry string) bool {
	host, _ := splitPort(registry)
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}
