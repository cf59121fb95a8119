package audit

import (
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// kind is a kind of objects with images.
type kind struct {
	podimages.Kind
	resource string
	// step reports whether an object with a controller is only a step to its owner, and its template
	// a copy of the owner's.
	step bool
}

var pods = kind{Kind: podimages.Pod, resource: "pods"}

// kinds are read in this order. PodTemplates are missing: no controller creates pods from them, and the
// ClusterRole view does not allow to read them. Templates that users write are before pods, so that the original of a
// mirrored image in a pod is known. The steps are after pods, so that only the owners of findings are kept.
var kinds = []kind{
	{Kind: podimages.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, resource: "deployments"},
	{Kind: podimages.Kind{Group: "apps", Version: "v1", Kind: "StatefulSet"}, resource: "statefulsets"},
	{Kind: podimages.Kind{Group: "apps", Version: "v1", Kind: "DaemonSet"}, resource: "daemonsets"},
	{Kind: podimages.Kind{Group: "batch", Version: "v1", Kind: "CronJob"}, resource: "cronjobs"},
	pods,
	{Kind: podimages.Kind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}, resource: "replicasets", step: true},
	{Kind: podimages.Kind{Version: "v1", Kind: "ReplicationController"}, resource: "replicationcontrollers", step: true},
	{Kind: podimages.Kind{Group: "batch", Version: "v1", Kind: "Job"}, resource: "jobs", step: true},
}

// path returns the path of the list in a namespace, or in all namespaces if it is empty.
func (k kind) path(namespace string) string {
	path := "/api/" + k.Version
	if k.Group != "" {
		path = "/apis/" + k.Group + "/" + k.Version
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + k.resource
}

// object identifies an object of any kind.
type object struct{ namespace, group, kind, name string }

// String returns the object in kubectl's notation.
func (o object) String() string { return strings.ToLower(o.kind) + "/" + o.name }

func (o object) clone() object {
	return object{strings.Clone(o.namespace), strings.Clone(o.group), strings.Clone(o.kind), strings.Clone(o.name)}
}

// objectOf returns the identity of an item.
func (k kind) objectOf(i *item) object {
	return object{i.namespace, k.Group, k.Kind.Kind, i.object.Metadata.Name}
}

// controller returns the controller of an item, which is in the same namespace.
func (i *item) controller() (owner object, found bool) {
	n := slices.IndexFunc(i.owners, func(o ownerReference) bool { return string(o.controller) == "true" })
	if n < 0 {
		return owner, false
	}
	group, _, grouped := strings.Cut(i.owners[n].apiVersion, "/")
	if !grouped {
		group = ""
	}
	return object{i.namespace, group, i.owners[n].kind, i.owners[n].name}, true
}

// isFinished reports whether a pod or a Job has ended.
func (i *item) isFinished(k kind) bool {
	if k == pods {
		return i.phase == "Succeeded" || i.phase == "Failed"
	}
	return k.Kind.Kind == "Job" && slices.ContainsFunc(i.conditions, func(c condition) bool {
		return (c.kind == "Complete" || c.kind == "Failed") && c.status == "True"
	})
}

// isStep reports whether objects of this kind are steps.
func (o object) isStep() bool {
	return slices.ContainsFunc(kinds, func(k kind) bool { return k.step && k.Group == o.group && k.Kind.Kind == o.kind })
}
