package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
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
			return approve(c.Context(), writer, names[0], time.Now(), c.OutOrStdout())
		},
	}
}

func approve(ctx context.Context, c client.Client, name string, now time.Time, out io.Writer) error {
	plan := &v1alpha1.CapacityPlan{}
	if err := c.Get(ctx, client.ObjectKey{Name: name}, plan); err != nil {
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("no CapacityPlan %q: kubectl get capacityplans lists those that there are", name)
		}
		return fmt.Errorf("read CapacityPlan %s: %w", name, err)
	}
	switch {
	case plan.Spec.Approval != nil:
		return fmt.Errorf("CapacityPlan %s has been approved by %s already", name, plan.Spec.Approval.By)
	case !plan.Spec.Expires.After(now):
		return fmt.Errorf("CapacityPlan %s expired at %s: approve the one that the reserver proposes now", name, plan.Spec.Expires.UTC().Format(time.RFC3339))
	}
	self := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, self); err != nil {
		return fmt.Errorf("ask the API server who you are: %w", err)
	}
	if self.Status.UserInfo.Username == "" {
		return errors.New("the API server does not say who you are: approve with credentials of a user")
	}
	plan.Spec.Approval = &v1alpha1.Approval{By: self.Status.UserInfo.Username}
	if err := c.Update(ctx, plan); err != nil {
		return fmt.Errorf("approve CapacityPlan %s: %w", name, err)
	}
	_, err := fmt.Fprintf(out, "CapacityPlan %s approved by %s: up to %d nodes, %s per hour, until %s\n",
		name, plan.Spec.Approval.By, plan.Spec.Nodes, plan.Spec.CostPerHour, plan.Spec.Expires.UTC().Format(time.RFC3339))
	return err
}
