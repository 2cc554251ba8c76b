package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/removal"
)

func uninstallCommand() *cobra.Command {
	var namespace string
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Take out of the cluster what Forewarm's processes have written, before its manifests go",
		Long: `Disarm Forewarm, end its webhook and reserver, and remove what they have written: labels of
Namespaces, placeholder pods with their quota and PriorityClass, ledgers, ceiling sets, the
webhook's CA and the Leases. Autoscalers, NodePools and quotas are as they were before. What
people wrote stays: annotations, WarmPools, DemandEvents and all that was recorded.

"helm uninstall" runs it by itself; without Helm, run it and then delete the manifests. It may
be run again.`,
		Example: `  forewarmctl uninstall
  kubectl delete -f manifests/install.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := admissionFor(c, namespace)
			if err != nil {
				return err
			}
			return a.uninstall(c.Context())
		},
	}
	c.Flags().StringVar(&namespace, "namespace", v1alpha1.SystemNamespace, "Forewarm's own namespace")
	return c
}

// uninstall leaves the mark of disarm until all is gone: what fails half way comes back by nothing but arm.
func (a admission) uninstall(ctx context.Context) error {
	if err := a.disarm(ctx, "forewarmctl uninstall"); err != nil {
		return err
	}
	remover := removal.Remover{Client: a.client, Objects: a.objects, Namespace: a.namespace, Output: a.output}
	if err := remover.Remove(ctx); err != nil {
		return err
	}
	err := a.client.CoreV1().ConfigMaps(a.namespace).Delete(ctx, v1alpha1.DisarmedConfigMap, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the mark that keeps Forewarm disarmed: %w", err)
	}
	_, err = fmt.Fprintln(a.output, "nothing of Forewarm's processes is left")
	return err
}
