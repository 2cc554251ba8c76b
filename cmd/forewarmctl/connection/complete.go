package connection

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// completeTimeout is how long a shell waits for names.
const completeTimeout = 2 * time.Second

// CompleteNames lets the shell complete arguments, so many at most (0 is any number), by the names of the
// objects of a kind of ours. Where the cluster cannot be read, there are none.
func CompleteNames(kind string, most int) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := namesOf(c, kind)
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return fitting(names, "", typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// namesOf lists the names of the objects of a kind of ours.
func namesOf(c *cobra.Command, kind string) ([]string, error) {
	from, err := Of(c)
	if err != nil {
		return nil, err
	}
	return list(c.Context(), from, v1alpha1.GroupVersion.WithKind(kind), "")
}

// list is the names of the objects of a kind.
func list(ctx context.Context, from client.Reader, kind schema.GroupVersionKind, namespace string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	found := &metav1.PartialObjectMetadataList{}
	found.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := from.List(ctx, found, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var names []string
	for _, item := range found.Items {
		names = append(names, item.Name)
	}
	return names, nil
}

// CompleteNamespaces lets the shell complete a flag that names a Namespace.
func CompleteNamespaces(c *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	from, err := Of(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := list(c.Context(), from, corev1.SchemeGroupVersion.WithKind("Namespace"), "")
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
	}
	return fitting(names, "", typed), cobra.ShellCompDirectiveNoFileComp
}

// CompleteObjects lets the shell complete one argument of the form RESOURCE/NAME: first the resource, of
// those that are named, and then the names of what there is in the namespace that the flag says.
func CompleteObjects(namespaceFlag string, resources ...string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		resource, _, named := strings.Cut(typed, "/")
		switch {
		case len(args) > 0:
			return nil, cobra.ShellCompDirectiveNoFileComp
		case !named:
			var with []string
			for _, r := range resources {
				with = append(with, r+"/")
			}
			return fitting(with, "", typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		names, err := objectsOf(c, resource, namespaceFlag)
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
		}
		return fitting(names, resource+"/", typed), cobra.ShellCompDirectiveNoFileComp
	}
}

func objectsOf(c *cobra.Command, resource, namespaceFlag string) ([]string, error) {
	from, err := Of(c)
	if err != nil {
		return nil, err
	}
	namespace, err := c.Flags().GetString(namespaceFlag)
	if err != nil {
		return nil, err
	}
	kind, err := from.RESTMapper().KindFor(schema.ParseGroupResource(resource).WithVersion(""))
	if err != nil {
		return nil, err
	}
	if mapping, err := from.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version); err != nil || mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	return list(c.Context(), from, kind, namespace)
}

// fitting are the names, behind a prefix, that begin with what is typed.
func fitting(names []string, prefix, typed string) []cobra.Completion {
	var fit []cobra.Completion
	for _, name := range names {
		if strings.HasPrefix(prefix+name, typed) {
			fit = append(fit, prefix+name)
		}
	}
	return fit
}
