package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// webhookWarning is in the webhook's warning about a workload, and not in that of a policy.
const webhookWarning = "; its pods will be denied"

// checkWarns returns an error unless the webhook warns about a Deployment.
func checkWarns(ctx context.Context, client kubernetes.Interface) error {
	var texts []string
	ctx = context.WithValue(ctx, warningsKey{}, &texts)
	labels := map[string]string{"app": "probe"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: deniedImage}}},
			},
		},
	}
	_, err := client.AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, deployment, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, webhookWarning) }) {
		return fmt.Errorf("the webhook does not warn about a Deployment with image %q", deniedImage)
	}
	return nil
}

// warnings collects the API server's warnings for a context with warningsKey.
type warnings struct{}

type warningsKey struct{}

func (warnings) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if texts, ok := ctx.Value(warningsKey{}).(*[]string); ok {
		*texts = append(*texts, text)
	}
}
