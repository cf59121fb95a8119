package ownercontroller

import (
	"k8s.io/apimachinery/pkg/runtime"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/rest"
)

// clients contains the clients for the API groups that the controller uses.
type clients struct {
	core  coreclient.CoreV1Interface
	rbac  rbacclient.RbacV1Interface
	lease coordinationclient.CoordinationV1Interface
}

func newClients(config *rest.Config) (c *clients, err error) {
	config = rest.CopyConfig(config)
	// Protobuf takes less memory and time than JSON.
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	// No limit in the client: the number of workers limits the requests in flight, and the
	// API server has its own fairness between clients.
	config.QPS = -1
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c = &clients{}
	if c.core, err = coreclient.NewForConfigAndClient(config, client); err != nil {
		return nil, err
	}
	if c.rbac, err = rbacclient.NewForConfigAndClient(config, client); err != nil {
		return nil, err
	}
	c.lease, err = coordinationclient.NewForConfigAndClient(config, client)
	return c, err
}
