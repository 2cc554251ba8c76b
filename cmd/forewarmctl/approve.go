package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"forewarm.dev/capacity/approval"
	"forewarm.dev/cmd/forewarmctl/connection"
)

func approveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "approve CAPACITYPLAN",
		Short: "Approve a CapacityPlan, so that its placeholders may be ungated",
		Long: `Approve a growth that a WarmPool waits for, in your own name. You need update and approve on
capacityplans.forewarm.dev. Without this command, it is:

  kubectl patch capacityplan NAME --type merge -p '{"spec":{"approval":{"by":"YOUR USER NAME"}}}'

kubectl auth whoami says what your user name is; admission refuses any other. To withdraw an approval,
delete the CapacityPlan: what stands ungated stays, nothing more is ungated by it.`,
		Example: `  kubectl get capacityplans
  forewarmctl approve a100-20261129-101500`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: connection.CompleteNames("CapacityPlan", 1),
		RunE: func(c *cobra.Command, names []string) error {
			writer, err := connection.Of(c)
			if err != nil {
				return err
			}
			plan, err := approval.Approve(c.Context(), writer, names[0], time.Now())
			switch {
			case apierrors.IsNotFound(err):
				return fmt.Errorf("no CapacityPlan %q: kubectl get capacityplans lists those that there are", names[0])
			case err != nil:
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "CapacityPlan %s approved by %s: up to %d nodes, %s per hour, until %s\n",
				plan.Name, plan.Spec.Approval.By, plan.Spec.Nodes, plan.Spec.CostPerHour, plan.Spec.Expires.UTC().Format(time.RFC3339))
			return err
		},
	}
}
