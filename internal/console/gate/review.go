package gate

import (
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// remembered is for how long an answer of the cluster about a token, or a right that somebody has, is
	// taken for granted: so late is a token refused that has been revoked.
	remembered = 20 * time.Second
	// refused is for how long a right that somebody lacks is.
	refused = 5 * time.Second
	// reviewTimeout bounds one question about a token.
	reviewTimeout = 10 * time.Second
)

// Delegate has the API server authenticate and authorize, as its own aggregated API servers do.
func Delegate(config *rest.Config) (authenticator.Request, authorizer.Authorizer, error) {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	again := &wait.Backoff{Duration: 250 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 3}
	authenticates, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		TokenAccessReviewClient: clients.AuthenticationV1(), TokenAccessReviewTimeout: reviewTimeout,
		WebhookRetryBackoff: again, CacheTTL: remembered,
	}.New()
	if err != nil {
		return nil, nil, err
	}
	authorizes, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: clients.AuthorizationV1(), AllowCacheTTL: remembered, DenyCacheTTL: refused, WebhookRetryBackoff: again,
	}.New()
	return authenticates, authorizes, err
}
