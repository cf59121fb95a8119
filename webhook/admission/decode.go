package admission

import (
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// decode reads a review and refuses one that is not of the expected type; got
// is where the review says of which it is.
func decode(body []byte, review any, got *metav1.TypeMeta, expected metav1.TypeMeta) error {
	if len(body) == 0 {
		return fmt.Errorf("the body is empty: expected an %s", expected.Kind)
	}
	// A value of the wrong type does not end the decoding, so that a body of
	// another kind is called by its kind and not by its first odd field.
	err := json.Unmarshal(body, review)
	var odd *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &odd) {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	if *got != expected {
		return fmt.Errorf("the body is no %s of %s: its apiVersion is %s and its kind %s",
			expected.Kind, expected.APIVersion, quote(got.APIVersion), quote(got.Kind))
	}
	if odd != nil {
		return fmt.Errorf("the field %s of the %s must not be a JSON %s", odd.Field, expected.Kind, odd.Value)
	}
	return nil
}
