package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/extender/handler"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/doctor"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook"
)

// scheduling gathers who schedules, by what right, and whom.
func scheduling(ctx context.Context, from client.Client, settings config.Config, f *doctor.Facts) (notLookedAt []string, err error) {
	var budgets policyv1.PodDisruptionBudgetList
	if err := from.List(ctx, &budgets, client.InNamespace(settings.Reserver.PlaceholderNamespace)); err != nil {
		return nil, fmt.Errorf("list PodDisruptionBudgets of %s: %w", settings.Reserver.PlaceholderNamespace, err)
	}
	f.Budgets = budgets.Items
	if namespace, name, named := strings.Cut(f.Lease, "/"); named && f.LeaseKnown {
		lease := &coordinationv1.Lease{}
		err := from.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, lease)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("get Lease %s: %w", f.Lease, err)
		}
		if err == nil {
			f.SchedulerLease = lease
		}
	}
	if f.GPUPods, err = gpuPods(ctx, from, settings.Reserver.PlaceholderNamespace); err != nil {
		return nil, err
	}
	if f.Schedulers, err = schedulers(ctx, from, f.OwnPods); apierrors.IsForbidden(err) {
		return []string{"what schedulers may; it takes the right to create subjectaccessreviews"}, nil
	}
	return nil, err
}

// schedulers asks the API server what those that call the extender lack.
func schedulers(ctx context.Context, from client.Client, own []corev1.Pod) ([]doctor.Scheduler, error) {
	var all []doctor.Scheduler
	for _, user := range doctor.SchedulerUsers(own) {
		s := doctor.Scheduler{User: user}
		for _, need := range doctor.SchedulerNeeds() {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groupsOf(user), ResourceAttributes: &need}}
			if err := from.Create(ctx, review); err != nil {
				return nil, fmt.Errorf("ask what %s may: %w", user, err)
			}
			if !review.Status.Allowed {
				s.Lacks = append(s.Lacks, need)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// groupsOf are those that a user is in by what he is.
func groupsOf(user string) []string {
	groups := []string{"system:authenticated"}
	if account, is := strings.CutPrefix(user, "system:serviceaccount:"); is {
		namespace, _, _ := strings.Cut(account, ":")
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	return groups
}

// gpuPods counts the pods with GPUs by the scheduler that they name, in its order.
func gpuPods(ctx context.Context, from client.Reader, placeholders string) ([]doctor.GPUPods, error) {
	found := map[string]*doctor.GPUPods{}
	for next := ""; ; {
		var pods corev1.PodList
		if err := from.List(ctx, &pods, client.Limit(500), client.Continue(next)); err != nil {
			return nil, fmt.Errorf("list pods: %w", err)
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			if handler.Ended(pod) || demand.IsPlaceholder(pod, placeholders) || !slices.ContainsFunc(quantity.OfPod(pod).Names(), webhook.IsGPU) {
				continue
			}
			name := pod.Spec.SchedulerName
			if found[name] == nil {
				found[name] = &doctor.GPUPods{Scheduler: name, Example: pod.Namespace + "/" + pod.Name}
			}
			found[name].Count++
		}
		if next = pods.Continue; next == "" {
			break
		}
	}
	var all []doctor.GPUPods
	for _, pods := range found {
		all = append(all, *pods)
	}
	slices.SortFunc(all, func(a, b doctor.GPUPods) int { return strings.Compare(a.Scheduler, b.Scheduler) })
	return all, nil
}
