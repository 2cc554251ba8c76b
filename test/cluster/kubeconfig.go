package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// KubeconfigFor writes a kubeconfig for a user of that name and groups, and returns its path.
// What the user may do is up to RBAC.
func (c *Cluster) KubeconfigFor(user string, groups ...string) (string, error) {
	pair, err := c.pki.user(user, groups)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig(user, &clientcmdapi.AuthInfo{ClientCertificateData: pair.cert, ClientKeyData: pair.key})
}

// KubeconfigForServiceAccount writes a kubeconfig with a token of an existing ServiceAccount,
// valid for a day, and returns its path.
func (c *Cluster) KubeconfigForServiceAccount(ctx context.Context, namespace, name string) (string, error) {
	day := int64(24 * 60 * 60)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}
	if err := c.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("request a token of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return c.writeKubeconfig(namespace+"-"+name, &clientcmdapi.AuthInfo{Token: request.Status.Token})
}

func (c *Cluster) writeKubeconfig(name string, auth *clientcmdapi.AuthInfo) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: c.apiServerURL, CertificateAuthorityData: c.pki.pem()}
	config.AuthInfos["user"] = auth
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "user"}
	config.CurrentContext = "test"
	path := filepath.Join(c.Dir, strings.NewReplacer(":", "-", "/", "-").Replace(name)+".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("write the kubeconfig of %s: %w", name, err)
	}
	return path, nil
}

// admin makes the kubeconfig and the client configuration of the cluster's administrator.
func (c *Cluster) admin() error {
	path, err := c.KubeconfigFor("admin", "system:masters")
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	// The launcher's own limit must not be what a test measures.
	config.QPS = -1
	c.Kubeconfig, c.restConfig = path, config
	return nil
}

// RESTConfig is a copy of the administrator's client configuration, without a rate limit.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.restConfig) }
