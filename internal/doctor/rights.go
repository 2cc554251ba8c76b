package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
)

// Scheduler is one whose rights are looked at, and what it may not.
type Scheduler struct {
	User string
	// Lacks are the rights of SchedulerNeeds that it does not have.
	Lacks []authorizationv1.ResourceAttributes
}

// SchedulerNeeds is what a scheduler does for the extender's answers to come true, beside what every
// scheduler does.
func SchedulerNeeds() []authorizationv1.ResourceAttributes {
	return []authorizationv1.ResourceAttributes{
		{Verb: "list", Resource: "pods"},
		{Verb: "watch", Resource: "nodes"},
		{Verb: "create", Resource: "pods", Subresource: "binding"},
		{Verb: "patch", Resource: "pods", Subresource: "status"},
		{Verb: "delete", Resource: "pods", Namespace: v1alpha1.PlaceholderNamespace},
		{Verb: "list", Resource: "poddisruptionbudgets", Group: "policy"},
	}
}

// SchedulerUsers are those by which schedulers that call an extender of ours act: the ServiceAccounts of
// pods that have both, or else the control plane's.
func SchedulerUsers(own []corev1.Pod) []string {
	var users []string
	for i := range own {
		pod := &own[i]
		user := fmt.Sprintf("system:serviceaccount:%s:%s", pod.Namespace, pod.Spec.ServiceAccountName)
		scheduler := slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return strings.Contains(c.Name, "scheduler") })
		if scheduler && runsExtender(pod) && !slices.Contains(users, user) {
			users = append(users, user)
		}
	}
	if len(users) == 0 {
		users = []string{"system:kube-scheduler"}
	}
	return users
}

// rights looks for what schedulers may not.
func rights(f Facts) []Finding {
	var all []Finding
	for _, s := range f.Schedulers {
		for _, need := range s.Lacks {
			what := need.Resource
			if need.Subresource != "" {
				what += "/" + need.Subresource
			}
			if need.Namespace != "" {
				what += " in " + need.Namespace
			}
			all = append(all, Finding{Wrong, "user " + s.User, "may not " + need.Verb + " " + what + ": pods are not placed, or no placeholder is taken over", "bind it to the ClusterRole system:kube-scheduler, as the API server does by itself for the control plane's"})
		}
	}
	return all
}

// heldLease looks for a Lease that the extender follows and nobody holds.
func heldLease(f Facts) []Finding {
	if !f.LeaseKnown || f.Lease == "" {
		return nil
	}
	l := f.SchedulerLease
	if l != nil && l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != "" && (l.Spec.RenewTime == nil || f.Now.Sub(l.Spec.RenewTime.Time) < leaseLasts) {
		return nil
	}
	return []Finding{{Wrong, "configuration, extender.schedulerLease", "nobody holds the Lease " + f.Lease + ": the extender makes no room ahead of the scheduler", "name the Lease of the scheduler's leaderElection; leave it empty where leaderElect is false"}}
}

// leaseLasts is longer than any Lease does that its holder renews.
const leaseLasts = 5 * time.Minute

// extenderPods looks for extenders that are not ready: those that run as pods say by their readiness whether they hear the API server.
func extenderPods(f Facts) []Finding {
	var all []Finding
	for i := range f.OwnPods {
		pod := &f.OwnPods[i]
		ready := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
		if runsExtender(pod) && pod.DeletionTimestamp == nil && ready >= 0 && pod.Status.Conditions[ready].Status != corev1.ConditionTrue {
			all = append(all, Finding{Doubtful, "pod " + name(pod), "is not ready: the extender has not seen all yet, or is behind the API server, and passes the scheduler's calls through", "see its /readyz and its log, which say what it waits for"})
		}
	}
	return all
}
