package sources

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// Access asks the API server what a writer may do with ceilings. Loosening one is rare, so
// that each is asked for anew, and a right that was withdrawn counts at once.
type Access struct {
	client authorizationclient.SubjectAccessReviewInterface
}

// NewAccess makes an asker by SubjectAccessReview.
func NewAccess(client authorizationclient.SubjectAccessReviewsGetter) *Access {
	return &Access{client.SubjectAccessReviews()}
}

// May says whether a user has a verb on the ceilings of an object.
func (a *Access) May(ctx context.Context, who authenticationv1.UserInfo, verb webhook.Verb, on webhook.Object) (bool, error) {
	namespace := on.Namespace
	if on.Kind == "Namespace" {
		namespace = on.Name
	}
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range who.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := a.client.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: who.Username, UID: who.UID, Groups: who.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: string(verb), Namespace: namespace, Group: v1alpha1.GroupVersion.Group, Resource: "ceilings", Name: on.Name,
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether %s may %s ceilings: %w", who.Username, verb, err)
	}
	return review.Status.Allowed, nil
}
