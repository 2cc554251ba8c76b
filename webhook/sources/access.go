package sources

import (
	"context"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// Access asks the API server what a writer may do. What it is asked about is rare, so that each is
// asked for anew, and a right that was withdrawn counts at once.
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
	return a.ask(ctx, who, authorizationv1.ResourceAttributes{
		Verb: string(verb), Namespace: namespace, Group: v1alpha1.GroupVersion.Group, Resource: "ceilings", Name: on.Name,
	})
}

// MayControl says whether a user may say that an object of a kind controls others, as [webhook.Believed] does in
// the API server: who may write an object may write any owner into it. It is controllers who do: the control
// plane, and ServiceAccounts that may change the finalizers of the controller, as operators may and no tenant's
// role lets. No other is believed, wherever it is: a tenant may have one in another namespace.
func (a *Access) MayControl(ctx context.Context, who authenticationv1.UserInfo, kind Kind, namespace, name string) (bool, error) {
	const accounts = "system:serviceaccount:"
	switch {
	case !strings.HasPrefix(who.Username, "system:"):
		return false, nil
	case !strings.HasPrefix(who.Username, accounts), strings.HasPrefix(who.Username, accounts+metav1.NamespaceSystem+":"):
		return true, nil
	}
	return a.ask(ctx, who, authorizationv1.ResourceAttributes{
		Verb: "update", Namespace: namespace, Group: kind.Group, Resource: kind.Resource, Subresource: "finalizers", Name: name,
	})
}

func (a *Access) ask(ctx context.Context, who authenticationv1.UserInfo, about authorizationv1.ResourceAttributes) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range who.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := a.client.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: who.Username, UID: who.UID, Groups: who.Groups, Extra: extra, ResourceAttributes: &about,
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether %s may %s %s: %w", who.Username, about.Verb, about.Resource, err)
	}
	return review.Status.Allowed, nil
}
