package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

// completeTimeout is how long a shell waits for names.
const completeTimeout = 2 * time.Second

// completeNames lets the shell complete arguments, so many at most (0 is any number), by the names of the
// objects of a kind of ours. Where the cluster cannot be read, there are none.
func completeNames(kind string, most int) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := namesOf(c, kind)
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var fitting []cobra.Completion
		for _, name := range names {
			if strings.HasPrefix(name, typed) {
				fitting = append(fitting, name)
			}
		}
		return fitting, cobra.ShellCompDirectiveNoFileComp
	}
}

func namesOf(c *cobra.Command, kind string) ([]string, error) {
	kubeconfig, err := c.Flags().GetString("kubeconfig")
	if err != nil {
		return nil, err
	}
	reader, err := clientFor(kubeconfig)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), completeTimeout)
	defer cancel()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
	if err := reader.List(ctx, list); err != nil {
		return nil, err
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Name)
	}
	return names, nil
}

// outputFlag adds -o with the formats that there are, the first of which is the default.
func outputFlag(c *cobra.Command, output *string, formats ...string) {
	last := len(formats) - 1
	c.Flags().StringVarP(output, "output", "o", formats[0], "output format: "+strings.Join(formats[:last], ", ")+" or "+formats[last])
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}
