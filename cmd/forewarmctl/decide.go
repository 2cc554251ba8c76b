package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
)

func approveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "approve CAPACITYPLAN",
		Short: "Approve a CapacityPlan, so that its placeholders may be ungated",
		Long: `Approve a growth that a WarmPool waits for, in your own name. You need update and approve on
capacityplans.forewarm.dev. Without this command, it is:

  kubectl patch capacityplan NAME --type merge -p '{"spec":{"approval":{"by":"YOUR USER NAME"}}}'

kubectl auth whoami says what your user name is; admission refuses any other. To withdraw an approval,
delete the CapacityPlan: what stands ungated stays, nothing more is ungated by it.`,
		Example: `  kubectl get capacityplans
  forewarmctl approve a100-20261129-101500`,
	}
	return decides(c, approval.Approve, func(plan *v1alpha1.CapacityPlan) string {
		return fmt.Sprintf("approved by %s: up to %d nodes, %s per hour, until", plan.Spec.Approval.By, plan.Spec.Nodes, plan.Spec.CostPerHour)
	})
}

func rejectCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "reject CAPACITYPLAN",
		Short: "Reject a CapacityPlan, so that as much is not proposed again before it expires",
		Long: `Say no to a growth that a WarmPool waits for, in your own name: its placeholders stay gated, and as
much is not proposed again before the CapacityPlan expires. A larger growth is, since it is another
question. You need update and approve on capacityplans.forewarm.dev. Without this command, it is:

  kubectl patch capacityplan NAME --type merge -p '{"spec":{"rejection":{"by":"YOUR USER NAME"}}}'

kubectl auth whoami says what your user name is; admission refuses any other. To take a rejection back,
delete the CapacityPlan: the reserver proposes what it still wants.`,
		Example: `  kubectl get capacityplans
  forewarmctl reject a100-20261129-101500
  forewarmctl reject a100-20261129-101500 -o json`,
	}
	return decides(c, approval.Reject, func(plan *v1alpha1.CapacityPlan) string {
		return fmt.Sprintf("rejected by %s: as much is not proposed again before", plan.Spec.Rejection.By)
	})
}

// decides completes a command that decides about the CapacityPlan which it names; says is what it prints,
// up to when the plan expires.
func decides(c *cobra.Command, decide approval.Decide, says func(*v1alpha1.CapacityPlan) string) *cobra.Command {
	var format output.Format
	c.Args, c.ValidArgsFunction = cobra.ExactArgs(1), connection.CompleteNames("CapacityPlan", 1)
	c.RunE = func(c *cobra.Command, names []string) error {
		writer, err := connection.Of(c)
		if err != nil {
			return err
		}
		plan, err := decide(c.Context(), writer, names[0], time.Now())
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("no CapacityPlan %q: kubectl get capacityplans lists those that there are", names[0])
		case err != nil:
			return err
		}
		plan.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CapacityPlan"))
		return format.Print(c.OutOrStdout(), plan, func(p *output.Page) {
			p.Line(output.Plain, "CapacityPlan %s %s %s", plan.Name, says(plan), plan.Spec.Expires.UTC().Format(time.RFC3339))
		})
	}
	output.Add(c, &format)
	return c
}
