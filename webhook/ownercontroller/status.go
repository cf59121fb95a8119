package ownercontroller

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/webhook/owner"
)

// isReady reports whether the owner of a namespace has had rights before.
func isReady(n *namespace) bool { return n.tenancy == owner.Ready }

// setReady sets the label ready and the condition, in one write.
func (c *Controller) setReady(ctx context.Context, n *namespace) error {
	bound := condition{corev1.ConditionTrue, "OwnerBound", fmt.Sprintf("%q has ClusterRole %s in this namespace", n.owner, c.ClusterRole)}
	if isReady(n) && n.condition == unique.Make(bound) {
		return nil
	}
	err := c.patchStatus(ctx, n, map[string]any{owner.TenancyLabel: owner.Ready}, n.conditionPatch(bound))
	if err == nil {
		c.Log.Info("ready", "namespace", n.name, "owner", n.owner)
	}
	return stepFailed("StatusFailed", err)
}

// setNotReady sets only the condition. It leaves the condition of a namespace that has been
// ready, because the owner still has rights.
func (c *Controller) setNotReady(ctx context.Context, n *namespace, reason, message string) error {
	const maxMessage = 1024
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	notBound := condition{corev1.ConditionFalse, reason, message}
	if isReady(n) || n.condition == unique.Make(notBound) {
		return nil
	}
	return c.patchStatus(ctx, n, map[string]any{}, n.conditionPatch(notBound))
}

// clearTenancy removes the label and the condition.
func (c *Controller) clearTenancy(ctx context.Context, n *namespace) error {
	remove := map[string]any{"type": owner.Condition, "$patch": "delete"}
	return c.patchStatus(ctx, n, map[string]any{owner.TenancyLabel: nil}, remove)
}

// conditionPatch returns the patch of the condition. The time of its last transition changes
// with its status.
func (n *namespace) conditionPatch(to condition) map[string]any {
	patch := map[string]any{"type": owner.Condition, "status": to.status, "reason": to.reason, "message": to.message}
	if n.condition.Value().status != to.status {
		patch["lastTransitionTime"] = metav1.NewTime(time.Now())
	}
	return patch
}

// patchStatus writes labels and the condition of a namespace with a strategic merge patch,
// which leaves everything else as it is. With the UID, it cannot change a new namespace of the
// same name.
func (c *Controller) patchStatus(ctx context.Context, n *namespace, labels, condition map[string]any) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": n.uid, "labels": labels},
		"status":   map[string]any{"conditions": []any{condition}},
	})
	if err != nil {
		return err
	}
	_, err = c.clients.core.Namespaces().Patch(ctx, n.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: applyOptions.FieldManager}, "status")
	return err
}
