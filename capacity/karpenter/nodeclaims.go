package karpenter

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var nodeClaimList = schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaimList"}

// Unlaunched is what NodeClaims of NodePools say that could not be launched, each message once; none
// where there is no Karpenter. Of other NodePools there may be thousands, which are not read.
func Unlaunched(ctx context.Context, live client.Reader, nodePools []string) ([]string, error) {
	if len(nodePools) == 0 {
		return nil, nil
	}
	of, err := labels.NewRequirement(NodePoolLabel, selection.In, nodePools)
	if err != nil {
		return nil, fmt.Errorf("select NodeClaims: %w", err)
	}
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(nodeClaimList)
	if err := live.List(ctx, &list, client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*of)}); meta.IsNoMatchError(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list Karpenter's NodeClaims: %w", err)
	}
	var says []string
	for _, claim := range list.Items {
		if why := unlaunched(claim); why != "" {
			says = append(says, why)
		}
	}
	slices.Sort(says)
	return slices.Compact(says), nil
}

// unlaunched is the message of a condition Launched that is not true; empty for none, and for a claim
// that nobody has tried to launch yet.
func unlaunched(claim unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(claim.Object, "status", "conditions")
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		text := func(field string) string { value, _ := condition[field].(string); return value }
		if text("type") == "Launched" && text("status") != "True" && text("reason") != "AwaitingReconciliation" {
			return fmt.Sprintf("NodeClaim not launched: %s: %s", text("reason"), text("message"))
		}
	}
	return ""
}
