package admissioncost

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// pluginDenial is a part of the denials of the plugin ImagePolicyWebhook.
const pluginDenial = "image policy webhook backend denied"

// runsPlugin reports whether the API server denies pods with the plugin ImagePolicyWebhook. The API server asks
// the plugin before it evaluates policies and calls the webhook that denies.
func runsPlugin(ctx context.Context, client kubernetes.Interface) bool {
	_, err := probe(ctx, client, metav1.NamespaceDefault, deniedImage, "")
	return err != nil && strings.Contains(err.Error(), pluginDenial)
}
