// Package connection reaches the API server with the user's own rights.
package connection

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/observe"
)

// Flag is the name of the flag of every command that says which kubeconfig.
const Flag = "kubeconfig"

// REST is how a command reaches the API server.
func REST(c *cobra.Command) (*rest.Config, error) {
	path, err := c.Flags().GetString(Flag)
	if err != nil {
		return nil, err
	}
	return observe.RESTConfig(path)
}

// Of reaches the objects of Kubernetes and of Forewarm's own API.
func Of(c *cobra.Command) (client.Client, error) {
	restConfig, err := REST(c)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	reached, err := client.New(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reach the API server at %s: %w; check --kubeconfig", restConfig.Host, err)
	}
	return reached, nil
}

// Pools reads the named pools, or all.
func Pools(ctx context.Context, reader client.Reader, names []string) ([]v1alpha1.WarmPool, error) {
	var list v1alpha1.WarmPoolList
	if err := reader.List(ctx, &list); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, errors.New("this cluster does not know WarmPools: install manifests/crd first")
		}
		return nil, fmt.Errorf("list WarmPools: %w", err)
	}
	return pick(list.Items, names)
}

// Pool reads one pool.
func Pool(ctx context.Context, reader client.Reader, name string) (v1alpha1.WarmPool, error) {
	pools, err := Pools(ctx, reader, []string{name})
	if err != nil {
		return v1alpha1.WarmPool{}, err
	}
	return pools[0], nil
}

func pick(pools []v1alpha1.WarmPool, names []string) ([]v1alpha1.WarmPool, error) {
	if len(names) == 0 {
		return pools, nil
	}
	byName := map[string]v1alpha1.WarmPool{}
	var known []string
	for _, pool := range pools {
		byName[pool.Name] = pool
		known = append(known, pool.Name)
	}
	var picked []v1alpha1.WarmPool
	for _, name := range names {
		pool, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("no WarmPool %q; there are: %s", name, strings.Join(known, ", "))
		}
		picked = append(picked, pool)
	}
	return picked, nil
}
