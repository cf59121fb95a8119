// Package policy reads the policy file: an ImagePolicy in YAML or JSON. It reads it strictly, checks its
// rules together, and keeps the last valid rules when the file changes to something invalid.
//
// The files are imagepolicy.go for the format, decode.go for reading it, rules.go for what it means,
// overlap.go for the time in which replicas have different versions, and store.go for reloading.
//
// Errors begin with FILE:LINE:COLUMN, if they are about one place. The package does not know reviews or
// the server.
package policy

// APIVersion and Kind identify the file.
const (
	APIVersion = "image-webhook.dev/v1alpha1"
	Kind       = "ImagePolicy"
)

// ImagePolicy is the policy file. Its lists have no order: the order of their items does not
// matter.
//
// A pattern is REGISTRY[/PATH], and matches the images at or below that path by their full names,
// such as docker.io/library/nginx. Where a list names images, the original name of an image and its
// name on a mirror count as the same image.
//
// The JSON schema and the reference in docs/policy.md are generated from the fields and their
// comments.
type ImagePolicy struct {
	// Always image-webhook.dev/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Always ImagePolicy.
	Kind string `json:"kind"`
	// Where nodes pull images from instead of their own registries. The longest source that matches
	// an image applies.
	Mirrors []Mirror `json:"mirrors,omitempty"`
	// Tags that are denied, unless a digest pins the image. An image without a tag has the tag
	// latest. An asterisk matches any characters: *-snapshot, dev-*. Tags are case-sensitive.
	// Default: latest. An empty list allows all tags.
	DisallowedTags []string `json:"disallowedTags,omitempty"`
	// Patterns of images that disallowedTags and requireDigest do not apply to.
	ExemptImages []string `json:"exemptImages,omitempty"`
	// Patterns of the images that may run. All others are denied. They match the name that is stored
	// in the pod: for a mirrored image its name on the mirror. Default: all images.
	AllowedRegistries []string `json:"allowedRegistries,omitempty"`
	// Patterns of images that must have a digest. An asterisk alone matches all images.
	RequireDigest []string `json:"requireDigest,omitempty"`
	// Images that are denied for a reason of their own, such as a vulnerability.
	DeniedImages []DeniedImage `json:"deniedImages,omitempty"`
	// Always: nodes ask the registry each time a container of a new pod starts. Default: the pull
	// policy of the pod.
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`
	// Names of Secrets that are added to the imagePullSecrets of new pods with a mirrored image. Each
	// Secret must exist in the namespace of the pod.
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
}

// Mirror sends the images of a source to a mirror.
type Mirror struct {
	// A pattern, or an asterisk for all registries that no other source matches.
	Source string `json:"source"`
	// HOST[:PORT][/PATH], which replaces the source in the name of an image. Empty: the images keep
	// their names.
	Mirror string `json:"mirror"`
}

// DeniedImage denies images.
type DeniedImage struct {
	// A pattern; or an image with a tag or a digest, such as nginx:1.25 or
	// quay.io/team/app@sha256:...; or an asterisk with a digest, *@sha256:..., for that content in
	// all registries. An image with a digest does not match a tag.
	Image string `json:"image"`
	// Why, which denials show: an identifier or a link.
	Reason string `json:"reason"`
}
