package podimages

// PullPolicy says when a node asks the registry for an image. The API server
// fills in one that is not written, and checks it only after the webhooks that
// change pods.
type PullPolicy string

// PullAlways makes a node ask each time a container starts.
const PullAlways PullPolicy = "Always"

// UnmarshalText keeps the usual policies without an allocation for each
// container of each review: most reviews have no use for them.
func (p *PullPolicy) UnmarshalText(text []byte) error {
	switch string(text) {
	case "Always":
		*p = PullAlways
	case "IfNotPresent":
		*p = "IfNotPresent"
	case "Never":
		*p = "Never"
	default:
		*p = PullPolicy(text)
	}
	return nil
}
