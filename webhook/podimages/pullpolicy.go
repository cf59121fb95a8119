package podimages

// PullPolicy is when a node pulls an image from the registry. The API server sets a
// default and validates the value only after the mutating webhooks.
type PullPolicy string

// PullAlways makes a node ask the registry each time a container starts.
const PullAlways PullPolicy = "Always"

// UnmarshalText decodes the known policies without an allocation, because every
// review has them, but few rules read them.
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
