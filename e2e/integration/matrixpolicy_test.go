package integration

import (
	"slices"
	"strings"
)

// matrixPolicy is the policy file of the matrix. It has every field.
const matrixPolicy = `apiVersion: image-webhook.dev/v1alpha1
kind: ImagePolicy
mirrors:
  - {source: docker.io, mirror: docker.mirror.example}
  - {source: registry.k8s.io, mirror: k8s.mirror.example}
  - {source: docker.io/acme, mirror: ""}
disallowedTags: [latest, "*-snapshot", "dev-*"]
exemptImages: [quay.io/team/nightly, docker.io/library/busybox, ghcr.io/prod/debug]
allowedRegistries: [docker.mirror.example, k8s.mirror.example, quay.io/team, ghcr.io/prod]
requireDigest: [ghcr.io/prod, docker.io/library/postgres]
deniedImages:
  - {image: quay.io/team/nightly/old, reason: CVE-1}
  - {image: "redis:7.0", reason: CVE-2}
  - {image: docker.mirror.example/library/httpd, reason: CVE-3}
  - {image: "quay.io/team/app` + deniedDigest + `", reason: CVE-4}
  - {image: "*` + deniedContent + `", reason: CVE-5}
  - {image: gcr.io/bad, reason: CVE-6}
imagePullPolicy: Always
imagePullSecrets: [mirror, second]
`

// policySecrets are the imagePullSecrets of matrixPolicy.
var policySecrets = []string{"mirror", "second"}

const (
	pinned        = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	deniedDigest  = "@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	deniedContent = "@sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// fault is a rule that an image breaks.
type fault struct {
	warning string // the start of its warning, before a colon
	denial  string // a part of its denial
	reason  string // in the warning, after a colon; empty if it has none
}

var (
	latestFault   = tagFault("latest", "")
	registryFault = fault{warning: "registry is not allowed", denial: "its registry is not allowed: use an image of docker.io, registry.k8s.io, "}
	digestFault   = fault{warning: "digest is required", denial: "a digest is required: use "}
	invalidFault  = fault{warning: "invalid image reference", denial: "invalid reference ("}
)

// tagFault returns the fault of a disallowed tag. match describes the pattern with an asterisk.
func tagFault(tag, match string) fault {
	return fault{warning: "use `" + tag + "` tag is not allowed", denial: ` tag "` + tag + `"` + match}
}

func deniedFault(reason string) fault {
	return fault{warning: "image is denied", denial: "it is denied (" + reason + "): use another image", reason: reason}
}

// notMirroredFault returns the fault of an image whose name on the mirror would be allowed.
func notMirroredFault(mirrored string) fault {
	return fault{warning: registryFault.warning, denial: `its registry is not allowed, and it was not mirrored: use "` + mirrored + `"`}
}

// imageKind is a kind of image.
type imageKind struct {
	name    string
	written string
	stored  string // the reference after mirroring
	faults  []fault
}

// keeps returns a kind of image that is not mirrored.
func keeps(name, image string, faults ...fault) imageKind {
	return imageKind{name, image, image, faults}
}

// mirrors returns a kind of image of Docker Hub that is mirrored.
func mirrors(name, image string, faults ...fault) imageKind {
	return imageKind{name, image, "docker.mirror.example/library/" + image, faults}
}

// imageKinds are the kinds of images, by the rule that they show.
var imageKinds = []imageKind{
	// mirrors
	mirrors("from Docker Hub", "nginx:1.25"),
	{"from registry.k8s.io", "registry.k8s.io/pause:3.10", "k8s.mirror.example/pause:3.10", nil},
	keeps("without a mirror", "quay.io/team/app:1.2"),
	keeps("with its name on the mirror", mirroredImage),
	keeps("invalid", "Nginx:1", invalidFault),
	// disallowedTags and exemptImages
	mirrors("latest with a digest", "nginx:latest"+pinned),
	mirrors("latest", "nginx:latest", latestFault),
	keeps("untagged", "quay.io/team/app", latestFault),
	keeps("tag with a disallowed suffix", "quay.io/team/app:1.2-snapshot", tagFault("1.2-snapshot", " (pattern *-snapshot)")),
	keeps("tag with the suffix inside", "quay.io/team/app:1.2-snapshot.1"),
	mirrors("tag with a disallowed prefix", "nginx:dev-7", tagFault("dev-7", " (pattern dev-*)")),
	keeps("exempt", "quay.io/team/nightly:dev-7"),
	mirrors("exempt by its original name", "busybox:latest"),
	// allowedRegistries
	keeps("of another registry", "gcr.io/team/app:1.2", registryFault),
	keeps("excluded from its mirror", "acme/app:1.2", registryFault),
	// requireDigest
	keeps("without a required digest", "ghcr.io/prod/app:latest", digestFault), // a digest solves the tag too
	keeps("with a required digest", "ghcr.io/prod/app:latest"+pinned),
	keeps("exempt from a digest", "ghcr.io/prod/debug:1.2"),
	mirrors("without a digest that its original name requires", "postgres:16", digestFault),
	// deniedImages
	keeps("with a denied path, and exempt", "quay.io/team/nightly/old/app:1.2", deniedFault("CVE-1")),
	mirrors("with a denied tag", "redis:7.0", deniedFault("CVE-2")),
	keeps("with a denied tag on the mirror", "docker.mirror.example/library/redis:7.0", deniedFault("CVE-2")),
	mirrors("with a denied tag and a digest", "redis:7.0"+pinned),
	mirrors("denied by its name on the mirror", "httpd:2.4", deniedFault("CVE-3")),
	keeps("with a denied digest", "quay.io/team/app"+deniedDigest, deniedFault("CVE-4")),
	mirrors("with a digest that is denied in all registries", "nginx"+deniedContent, deniedFault("CVE-5")),
	keeps("denied, of another registry and untagged", "gcr.io/bad/app", deniedFault("CVE-6"), registryFault, latestFault),
}

// isMirrored reports whether the webhook sends the image to a mirror.
func (i imageKind) isMirrored() bool { return i.stored != i.written }

// faultsIn returns the faults of the image in a request.
func (i imageKind) faultsIn(use imageUse) []fault {
	switch {
	case use.unchanged:
		return nil
	case use.unmirrored && i.isMirrored():
		return append(slices.Clone(i.faults), notMirroredFault(i.stored))
	}
	return i.faults
}

// isIn reports whether a warning is about this fault of the image of a case. It names the field, and
// says that pods will be denied if the mode denies the pods of a template.
func (f fault) isIn(text string, c testCase) bool {
	text, hasSuffix := strings.CutSuffix(text, "; its pods will be denied")
	return hasSuffix == (c.template && c.mode.action == actionDeny) &&
		strings.HasPrefix(text, f.warning+": ") && strings.Contains(text, "("+c.field+") has image ") &&
		(f.reason == "" || strings.HasSuffix(text, ": "+f.reason))
}
