// Package doctor names what is wrong with how Forewarm is set up in a cluster, and what to do
// about it. It looks at what it is given; it reads and changes nothing itself.
package doctor

import (
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"forewarm.dev/api/v1alpha1"
)

// Facts are what there is.
type Facts struct {
	// Scheduler is the scheduler's configuration; nil if it was not given, and then not judged.
	Scheduler *configv1.KubeSchedulerConfiguration
	// Address is where the extender serves, Deadline its own, and MarkClaims what the webhook does for pods with claims.
	Address    string
	Deadline   time.Duration
	MarkClaims bool
	// Lease is the one that the extender follows, as NAMESPACE/NAME; not judged unless LeaseKnown.
	Lease      string
	LeaseKnown bool
	// AnyCaller says that the webhook is known to answer whoever asks, and DrainSeconds how long it
	// serves after SIGTERM.
	AnyCaller       bool
	DrainSeconds    int
	Validating      []admissionregistrationv1.ValidatingWebhookConfiguration
	Mutating        []admissionregistrationv1.MutatingWebhookConfiguration
	Policies        []admissionregistrationv1.ValidatingAdmissionPolicy
	PolicyBindings  []admissionregistrationv1.ValidatingAdmissionPolicyBinding
	Nodes           []corev1.Node
	PriorityClasses []schedulingv1.PriorityClass
	FlowSchemas     []flowcontrolv1.FlowSchema
	DeviceClasses   []resourcev1.DeviceClass
	Pools           []v1alpha1.WarmPool
	// Schedulers are those that call us, and what they may not; Budgets the PodDisruptionBudgets of the
	// placeholders' Namespace; GPUPods are by scheduler.
	Schedulers []Scheduler
	Budgets    []policyv1.PodDisruptionBudget
	GPUPods    []GPUPods
	// SchedulerLease is Lease as it is; nil if it is not there.
	SchedulerLease *coordinationv1.Lease
	// System is the Namespace kube-system, and SystemDeployments what runs there.
	System            corev1.Namespace
	SystemDeployments []appsv1.Deployment
	// OwnPods are those of Forewarm's own namespace, and of Forewarm in kube-system.
	OwnPods []corev1.Pod
	// NotLookedAt is what could not be gathered.
	NotLookedAt []string
	// Unserved are the Features that the API server does not serve: nobody's mistake.
	Unserved []Feature
	Now      time.Time
}

// Level is how bad a finding is.
type Level string

// Levels.
const (
	// Wrong is what does not work, or breaks others.
	Wrong Level = "wrong"
	// Doubtful is what may be meant so.
	Doubtful Level = "doubtful"
)

// Finding is one mistake.
type Finding struct {
	Level Level
	// Where names the object and field.
	Where string
	// What is the mistake, and Remedy what to do.
	What, Remedy string
}

func (f Finding) String() string {
	return fmt.Sprintf("%-8s  %s: %s\n          %s", f.Level, f.Where, f.What, f.Remedy)
}

// check looks for one kind of mistake.
type check func(Facts) []Finding

// checks in the order in which they are told.
var checks = []check{
	extenderIsCalled,
	calls,
	others,
	transport,
	whoIsManaged,
	fakeResources,
	ignored,
	elsewhere,
	sample,
	ownScheduler,
	leader,
	heldLease,
	rights,
	extenderPods,
	disruptionBudgets,
	configurations,
	entries,
	reach,
	policies,
	certificates,
	callers,
	priority,
	replicas,
	pokePolicy,
	taints,
	priorities,
	autoscaler,
}

// Diagnose runs all checks.
func Diagnose(f Facts) []Finding {
	var all []Finding
	for _, check := range checks {
		all = append(all, check(f)...)
	}
	return all
}
