package podimages

// PullAlways is the pull policy that makes a node ask the registry each time a container
// starts. The API server sets a default and validates the value only after the mutating
// webhooks.
const PullAlways = "Always"
