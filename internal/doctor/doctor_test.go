package doctor

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/registration"
	webhooktwin "forewarm.dev/webhook/twin"
)

// healthy is a set-up with nothing to find: the scheduler's configuration of the manifests, what
// cmd/webhook writes itself, and the rest as installed.
func healthy(t *testing.T) Facts {
	t.Helper()
	data, err := os.ReadFile("../../manifests/scheduler/kube-scheduler-configuration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := Facts{Scheduler: &configv1.KubeSchedulerConfiguration{}, Address: "127.0.0.1:8888", Deadline: 200 * time.Millisecond, Now: time.Unix(1_800_000_000, 0)}
	if err := yaml.UnmarshalStrict(data, f.Scheduler); err != nil {
		t.Fatal(err)
	}
	f.Policies = append(webhooktwin.Policies(webhooktwin.Options{Kinds: webhook.Kinds()}), admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "forewarm-extender"}})
	f.PolicyBindings = append(webhooktwin.Bindings(), admissionregistrationv1.ValidatingAdmissionPolicyBinding{Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "forewarm-extender", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}}})
	f.PriorityClasses = []schedulingv1.PriorityClass{{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlaceholderPriorityClass}, Value: -10}}
	f.FlowSchemas = []flowcontrolv1.FlowSchema{flowSchema("forewarm-webhook", 800, "forewarm-webhook")}
	f.SchedulerLease = &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: new("master-1_x"), RenewTime: &metav1.MicroTime{Time: f.Now.Add(-time.Second)}}}
	f.Schedulers, f.GPUPods = []Scheduler{{User: "system:kube-scheduler"}}, []GPUPods{{Scheduler: corev1.DefaultSchedulerName, Count: 12, Example: "ml/train"}}
	f.Budgets = []policyv1.PodDisruptionBudget{budget("others", map[string]string{"app": "x"})}
	target := registration.Target{Namespace: v1alpha1.SystemNamespace, Service: "forewarm-webhook", Kinds: webhook.Kinds()}
	f.Validating = []admissionregistrationv1.ValidatingWebhookConfiguration{*registration.Validating(target, []byte(authority))}
	f.Mutating = []admissionregistrationv1.MutatingWebhookConfiguration{*registration.Mutating(target, []byte(authority))}
	f.DrainSeconds, f.OwnPods = 10, []corev1.Pod{replicaOf("a"), replicaOf("b")}
	f.Nodes = []corev1.Node{gpuNode("nvidia.com/gpu")}
	return f
}

// flowSchema is one for all that an account of forewarm-system asks for.
func flowSchema(name string, precedence int32, account string) flowcontrolv1.FlowSchema {
	return flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: flowcontrolv1.FlowSchemaSpec{
		MatchingPrecedence: precedence, PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: name},
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			Subjects:      []flowcontrolv1.Subject{{ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: v1alpha1.SystemNamespace, Name: account}}},
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{{Verbs: []string{"*"}, Resources: []string{"*"}}},
		}},
	}}
}

func budget(name string, selects map[string]string) policyv1.PodDisruptionBudget {
	return policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PlaceholderNamespace, Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: selects}}}
}

// extenderPod is an extender beside the scheduler, ready or not.
func extenderPod(ready corev1.ConditionStatus) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "forewarm-extender-x7k2p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "extender"}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// replicaOf is a replica of the webhook as it should run.
func replicaOf(node string) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "forewarm-webhook-" + node}, Spec: corev1.PodSpec{
		NodeName: node, ServiceAccountName: "forewarm-webhook", PriorityClassName: "system-cluster-critical", TerminationGracePeriodSeconds: new(int64(30)),
		Containers: []corev1.Container{{Name: "webhook", SecurityContext: &corev1.SecurityContext{ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false)}}},
	}}
}

func gpuNode(name corev1.ResourceName) corev1.Node {
	n := corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "nvidia.com/gpu", Effect: corev1.TaintEffectNoSchedule}}}}
	n.Status.Allocatable = corev1.ResourceList{name: resource.MustParse("8")}
	return n
}

// clusterAutoscaler runs with arguments where kube-system allows so many nodes.
func clusterAutoscaler(maxNodes string, arguments ...string) func(*Facts) {
	return func(f *Facts) {
		d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "cluster-autoscaler"}}
		d.Spec.Template.Spec.Containers = []corev1.Container{{Image: "registry.k8s.io/autoscaling/cluster-autoscaler:v1.34.0", Command: []string{"./cluster-autoscaler"}, Args: arguments}}
		f.SystemDeployments = []appsv1.Deployment{d}
		if maxNodes != "" {
			f.System.Annotations = map[string]string{"forewarm.dev/max-nodes": maxNodes}
		}
	}
}

// anothers is an extender as HAMi installs it, with a shorter timeout: it binds, and neither prioritizes
// nor preempts.
func anothers() configv1.Extender {
	return configv1.Extender{
		URLPrefix: "https://127.0.0.1:443", FilterVerb: "filter", BindVerb: "bind", Weight: 1, EnableHTTPS: true, NodeCacheCapable: true,
		HTTPTimeout: metav1.Duration{Duration: 300 * time.Millisecond}, TLSConfig: &configv1.ExtenderTLSConfig{Insecure: true},
		ManagedResources: []configv1.ExtenderManagedResource{{Name: "nvidia.com/gpumem", IgnoredByScheduler: true}, {Name: "nvidia.com/gpucores", IgnoredByScheduler: true}},
	}
}

// TestEachMistakeIsNamed breaks one thing at a time.
func TestEachMistakeIsNamed(t *testing.T) {
	extender := func(edit func(*configv1.Extender)) func(*Facts) {
		return func(f *Facts) { edit(&f.Scheduler.Extenders[0]) }
	}
	another := func(edit func(*configv1.Extender)) func(*Facts) {
		return func(f *Facts) {
			e := anothers()
			edit(&e)
			f.Scheduler.Extenders = append(f.Scheduler.Extenders, e)
		}
	}
	fail, thirty := admissionregistrationv1.Fail, int32(30)
	tests := map[string]struct {
		spoil func(*Facts)
		want  string // part of the only finding; empty means none
	}{
		"nothing is wrong": {func(*Facts) {}, ""},
		"no extender":      {func(f *Facts) { f.Scheduler.Extenders = nil }, "nobody calls the extender"},
		"empty nodes":      {extender(func(e *configv1.Extender) { e.NodeCacheCapable = false }), "nodeCacheCapable"},
		"slow":             {extender(func(e *configv1.Extender) { e.HTTPTimeout.Duration = 2 * time.Second }), "httpTimeout"},
		"slow by default":  {extender(func(e *configv1.Extender) { e.HTTPTimeout.Duration = 0 }), "is 5s"},
		"deadline":         {func(f *Facts) { f.Deadline = time.Second }, "gives up before"},
		"not ignorable":    {extender(func(e *configv1.Extender) { e.Ignorable = false }), "ignorable"},
		"no preempt":       {extender(func(e *configv1.Extender) { e.PreemptVerb = "" }), "filter, prioritize and preempt"},
		"bind":             {extender(func(e *configv1.Extender) { e.BindVerb = "bind" }), "never be bound"},
		"light":            {extender(func(e *configv1.Extender) { e.Weight = 1 }), "weight"},
		"plain HTTP":       {extender(func(e *configv1.Extender) { e.URLPrefix = "http://extender:8888" }), "plain HTTP"},
		"no URL":           {extender(func(e *configv1.Extender) { e.URLPrefix = "extender" }), "no URL"},
		"unverified":       {extender(func(e *configv1.Extender) { e.URLPrefix, e.EnableHTTPS = "https://extender:8888", true }), "not verified"},
		"no client certificate": {extender(func(e *configv1.Extender) {
			e.URLPrefix, e.EnableHTTPS, e.TLSConfig = "https://x:1", true, &configv1.ExtenderTLSConfig{CAFile: "/ca"}
		}), "no client certificate"},
		"only another maker's":    {func(f *Facts) { f.Scheduler.Extenders = []configv1.Extender{anothers()} }, "nobody calls the extender"},
		"another maker's beside":  {func(f *Facts) { f.Scheduler.Extenders = append(f.Scheduler.Extenders, anothers()) }, ""},
		"another's is slow":       {another(func(e *configv1.Extender) { e.HTTPTimeout.Duration = 30 * time.Second }), "doubtful  scheduler configuration, extenders[1].httpTimeout: is 30s"},
		"another's sees no pods":  {another(func(e *configv1.Extender) { e.NodeCacheCapable = false }), "if that extender can do with names"},
		"another's for every pod": {another(func(e *configv1.Extender) { e.ManagedResources = nil }), "costs a call of this extender"},
		"another's far away":      {another(func(e *configv1.Extender) { e.URLPrefix = "https://hami-scheduler.kube-system:443" }), "nobody checks who answers"},
		"ours by its address alone": {func(f *Facts) {
			e := &f.Scheduler.Extenders[0]
			e.URLPrefix, e.ManagedResources, e.BindVerb = "http://localhost:8888/", slices.DeleteFunc(e.ManagedResources, func(r configv1.ExtenderManagedResource) bool { return r.Name == v1alpha1.ResourceManaged }), "bind"
		}, "never be bound"},
		"every pod":                   {extender(func(e *configv1.Extender) { e.ManagedResources = nil }), "every pod costs a call"},
		"a GPU is missing":            {func(f *Facts) { f.Nodes = append(f.Nodes, gpuNode("nvidia.com/mig-1g.10gb")) }, "lacks nvidia.com/mig-1g.10gb"},
		"another vendor's is missing": {func(f *Facts) { f.Nodes = append(f.Nodes, gpuNode("amd.com/cpx_nps4")) }, "lacks amd.com/cpx_nps4"},
		"no GPU":                      {func(f *Facts) { f.Nodes = append(f.Nodes, gpuNode("gpu.intel.com/i915_monitoring")) }, ""},
		"a pool's is missing":         {func(f *Facts) { f.Pools = make([]v1alpha1.WarmPool, 1); f.Pools[0].Spec.Demand.Resource = "x.dev/tpu" }, "lacks x.dev/tpu"},
		"claims are not seen": {func(f *Facts) {
			e := &f.Scheduler.Extenders[0]
			e.ManagedResources, f.DeviceClasses = slices.DeleteFunc(e.ManagedResources, func(r configv1.ExtenderManagedResource) bool { return r.Name == v1alpha1.ResourceManaged }), make([]resourcev1.DeviceClass, 1)
		}, "lacks forewarm.dev/managed"},
		"claims are not marked": {func(f *Facts) { f.DeviceClasses = make([]resourcev1.DeviceClass, 1) }, "webhook.markClaims"},
		"claims are marked":     {func(f *Facts) { f.DeviceClasses, f.MarkClaims = make([]resourcev1.DeviceClass, 1), true }, ""},
		"names that nobody offers": {func(f *Facts) {
			e := &f.Scheduler.Extenders[0]
			e.ManagedResources = append(e.ManagedResources, configv1.ExtenderManagedResource{Name: "nvidia.com/gpumem", IgnoredByScheduler: true})
			f.DeviceClasses, f.MarkClaims = []resourcev1.DeviceClass{{Spec: resourcev1.DeviceClassSpec{ExtendedResourceName: new("nvidia.com/gpu")}}}, true
		}, "nvidia.com/gpumem is offered by no node"},
		"few nodes are seen": {func(f *Facts) {
			f.Scheduler.PercentageOfNodesToScore = new(int32(5))
			f.Nodes = make([]corev1.Node, 1000)
		}, "about 100"},
		"the Lease by default":     {func(f *Facts) { f.Lease, f.LeaseKnown = "kube-system/kube-scheduler", true }, ""},
		"a Lease that may be ours": {func(f *Facts) { f.Lease = "ops/scheduler" }, ""},
		"another Lease":            {func(f *Facts) { f.Lease, f.LeaseKnown = "ops/scheduler", true }, `is "ops/scheduler", and the scheduler's leader election is by "kube-system/kube-scheduler"`},
		"a Lease by name": {func(f *Facts) {
			f.Scheduler.LeaderElection.ResourceNamespace, f.Scheduler.LeaderElection.ResourceName = "ops", "scheduler"
			f.Lease, f.LeaseKnown = "ops/scheduler", true
		}, ""},
		"no Lease": {func(f *Facts) {
			f.Scheduler.LeaderElection.LeaderElect = new(false)
			f.Lease, f.LeaseKnown = "kube-system/kube-scheduler", true
		}, `leader election is by ""`},
		"few nodes are seen by a profile": {func(f *Facts) {
			f.Scheduler.Profiles = []configv1.KubeSchedulerProfile{{}, {SchedulerName: new("other"), PercentageOfNodesToScore: new(int32(20))}}
			f.Nodes = make([]corev1.Node, 1000)
		}, "profiles[1].percentageOfNodesToScore: is 20: of 1000 nodes about 200"},
		"a policy that warns": {func(f *Facts) {
			f.PolicyBindings[len(f.PolicyBindings)-1].Spec.ValidationActions[0] = admissionregistrationv1.Warn
		}, "ValidatingAdmissionPolicy forewarm-extender: is missing, or not bound with Deny"},
		"asked about leases": {func(f *Facts) {
			excluded := f.Validating[0].Webhooks[0].NamespaceSelector.MatchExpressions[0]
			excluded.Values = slices.DeleteFunc(slices.Clone(excluded.Values), func(name string) bool { return name == corev1.NamespaceNodeLease })
			f.Validating[0].Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{excluded}}
		}, "has the webhook asked about kube-node-lease"},
		"no replica": {func(f *Facts) { f.OwnPods = nil }, "there are none, and API servers are told to ask it"},
		"a replica that is not ready": {func(f *Facts) {
			f.OwnPods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
		}, "pod forewarm-system/forewarm-webhook-a: is not ready"},
		"nobody asks us": {func(f *Facts) { f.Validating = nil }, "nobody asks the webhook"},
		"somebody else's": {func(f *Facts) {
			f.Validating = append(f.Validating, admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Webhooks: []admissionregistrationv1.ValidatingWebhook{{}}})
		}, ""},
		"hangs long": {func(f *Facts) { f.Mutating[0].Webhooks[0].TimeoutSeconds = &thirty }, "timeoutSeconds"},
		"an outage": {func(f *Facts) {
			v := &f.Validating[0].Webhooks[4] // of Namespaces
			v.FailurePolicy = &fail
		}, "stops the cluster"},
		"no trust":               {func(f *Facts) { f.Validating[0].Webhooks[0].ClientConfig.CABundle = nil }, "holds no certificate"},
		"refuses pods":           {func(f *Facts) { f.Mutating[0].Webhooks[0].FailurePolicy = &fail }, "refuses pods while no webhook answers"},
		"asked about the system": {func(f *Facts) { f.Validating[0].Webhooks[0].NamespaceSelector = nil }, "stands between the cluster and its own recovery"},
		"asked about all writes": {func(f *Facts) { f.Validating[0].Webhooks[0].MatchConditions = nil }, "every write waits"},
		"other versions":         {func(f *Facts) { f.Validating[0].Webhooks[2].MatchPolicy = new(admissionregistrationv1.Exact) }, "another API version"},
		"asked once":             {func(f *Facts) { f.Mutating[0].Webhooks[0].ReinvocationPolicy = nil }, "is Never"},
		"no twin":                {func(f *Facts) { f.Policies = f.Policies[1:] }, "nothing holds the ceilings"},
		"a twin that warns": {func(f *Facts) {
			f.PolicyBindings[1].Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn}
		}, "ValidatingAdmissionPolicy forewarm-ceiling-sets"},
		"requests queue":   {func(f *Facts) { f.FlowSchemas = nil }, "FlowSchema forewarm-webhook"},
		"any caller":       {func(f *Facts) { f.AnyCaller = true }, "webhook.clientCA"},
		"one replica":      {func(f *Facts) { f.OwnPods = f.OwnPods[:1] }, "is the only replica"},
		"one node":         {func(f *Facts) { f.OwnPods[1].Spec.NodeName = "a" }, "are all on one node"},
		"may be preempted": {func(f *Facts) { f.OwnPods[0].Spec.PriorityClassName = "" }, "priorityClassName"},
		"killed while it drains": {func(f *Facts) {
			f.DrainSeconds = 30
			f.OwnPods = f.OwnPods[:2]
			f.OwnPods[1].Spec.TerminationGracePeriodSeconds = new(int64(60))
		}, "terminationGracePeriodSeconds"},
		"privileges":                      {func(f *Facts) { f.OwnPods[1].Spec.Containers[0].SecurityContext = nil }, "container webhook, securityContext"},
		"no policy":                       {func(f *Facts) { f.PolicyBindings = f.PolicyBindings[:len(f.PolicyBindings)-1] }, "ValidatingAdmissionPolicy forewarm-extender"},
		"no taint":                        {func(f *Facts) { f.Nodes[0].Spec.Taints = nil }, "1 GPU nodes"},
		"an autoscaler without bounds":    {clusterAutoscaler("20", "--scan-interval=10s"), "--max-nodes-total"},
		"an autoscaler with larger ones":  {clusterAutoscaler("20", "--max-nodes-total=21"), "--max-nodes-total=20"},
		"a group with larger ones":        {clusterAutoscaler("20", "--max-nodes-total=20", "--nodes=1:30:a:b"), "--nodes=1:20:a:b"},
		"an autoscaler within its bounds": {clusterAutoscaler("20", "--max-nodes-total=20", "--nodes=1:20:a"), ""},
		"an autoscaler, and no max-nodes": {clusterAutoscaler("", "--nodes=1:30:a"), ""},
		"a Lease that nobody holds":       {func(f *Facts) { f.Lease, f.LeaseKnown, f.SchedulerLease = "kube-system/kube-scheduler", true, nil }, "nobody holds the Lease kube-system/kube-scheduler"},
		"a Lease that was given up": {func(f *Facts) {
			f.Lease, f.LeaseKnown, f.SchedulerLease.Spec.HolderIdentity = "kube-system/kube-scheduler", true, new("")
		}, "nobody holds"},
		"a Lease that was left behind": {func(f *Facts) {
			f.Lease, f.LeaseKnown, f.SchedulerLease.Spec.RenewTime.Time = "kube-system/kube-scheduler", true, f.Now.Add(-time.Hour)
		}, "nobody holds"},
		"an extender that is behind": {func(f *Facts) { f.OwnPods = append(f.OwnPods, extenderPod(corev1.ConditionFalse)) }, "pod kube-system/forewarm-extender-x7k2p: is not ready"},
		"an extender that is ready":  {func(f *Facts) { f.OwnPods = append(f.OwnPods, extenderPod(corev1.ConditionTrue)) }, ""},
		"a scheduler without rights": {func(f *Facts) {
			f.Schedulers = []Scheduler{{User: "system:serviceaccount:forewarm-system:forewarm-scheduler", Lacks: []authorizationv1.ResourceAttributes{SchedulerNeeds()[4]}}}
		}, "user system:serviceaccount:forewarm-system:forewarm-scheduler: may not delete pods in forewarm-placeholders"},
		"protected placeholders": {func(f *Facts) {
			pool := v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
			pool.Spec.Demand.Resource, pool.Spec.Chunks = "nvidia.com/gpu", []v1alpha1.Chunk{{Name: "single"}}
			f.Pools, f.Budgets = []v1alpha1.WarmPool{pool}, append(f.Budgets, budget("all", nil))
		}, "PodDisruptionBudget forewarm-placeholders/all: selects placeholders of WarmPool a100"},
		"GPUs that are not counted": {extender(func(e *configv1.Extender) { e.ManagedResources[0].IgnoredByScheduler = true }), "nvidia.com/gpu is not counted by the scheduler"},
		"not counted for another's": {another(func(e *configv1.Extender) { e.ManagedResources[0].Name = "nvidia.com/gpu" }), "unless this extender, which is not Forewarm's, counts it"},
		"not counted by a profile": {func(f *Facts) {
			f.Scheduler.Profiles = []configv1.KubeSchedulerProfile{{PluginConfig: []configv1.PluginConfig{{Name: "NodeResourcesFit", Args: runtime.RawExtension{Raw: []byte(`{"ignoredResources": ["nvidia.com/gpu"]}`)}}}}}
		}, "profiles[0].pluginConfig, NodeResourcesFit.ignoredResources: nvidia.com/gpu is not counted"},
		"a group that is not counted": {func(f *Facts) {
			f.Scheduler.Profiles = []configv1.KubeSchedulerProfile{{PluginConfig: []configv1.PluginConfig{{Name: "NodeResourcesFit", Args: runtime.RawExtension{Raw: []byte(`{"ignoredResourceGroups": ["nvidia.com"]}`)}}}}}
		}, "remove nvidia.com there"},
		"a marker that is counted": {extender(func(e *configv1.Extender) {
			for i := range e.ManagedResources {
				e.ManagedResources[i].IgnoredByScheduler = false
			}
		}), "forewarm.dev/managed is counted by the scheduler"},
		"pods of another scheduler": {func(f *Facts) {
			f.GPUPods = append(f.GPUPods, GPUPods{Scheduler: "volcano", Count: 3, Example: "ml/mpi-0"})
		}, "3 pods with GPUs, as ml/mpi-0: name scheduler volcano, and this configuration is of default-scheduler"},
		"a level that is not there": {func(f *Facts) {
			f.FlowSchemas[0].Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{Type: flowcontrolv1.FlowSchemaConditionDangling, Status: flowcontrolv1.ConditionTrue}}
		}, "names a PriorityLevelConfiguration that does not exist"},
		"a level for somebody else": {func(f *Facts) { f.FlowSchemas[0] = flowSchema("forewarm-webhook", 800, "other") }, "are not for ServiceAccount forewarm-system/forewarm-webhook"},
		"a level that comes before": {func(f *Facts) { f.FlowSchemas = append(f.FlowSchemas, flowSchema("accounts", 700, "*")) }, "FlowSchema accounts: comes before forewarm-webhook"},
		"a level that comes after":  {func(f *Facts) { f.FlowSchemas = append(f.FlowSchemas, flowSchema("service-accounts", 9000, "*")) }, ""},
		"low priorities": {func(f *Facts) {
			f.PriorityClasses = append(f.PriorityClasses, schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "cheap"}, Value: -100})
		}, "PriorityClass cheap"},
		"no class": {func(f *Facts) { f.PriorityClasses, f.Pools = nil, make([]v1alpha1.WarmPool, 1) }, "no placeholder can be made"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			test.spoil(&f)
			found := Diagnose(f)
			if test.want == "" && len(found) > 0 || test.want != "" && (len(found) != 1 || !strings.Contains(found[0].String(), test.want)) {
				t.Errorf("found %v, want one with %q", found, test.want)
			}
		})
	}
}

func TestExpiredBundles(t *testing.T) {
	f := healthy(t)
	f.Now = f.Now.AddDate(200, 0, 0)
	for _, finding := range Diagnose(f) {
		if !strings.Contains(finding.What, "has run out") {
			t.Errorf("found %v", finding)
		}
	}
	if got, want := len(Diagnose(f)), len(f.Validating[0].Webhooks)+len(f.Mutating[0].Webhooks); got != want {
		t.Errorf("%d findings, want one per bundle, %d", got, want)
	}
}

// authority is a CA that holds for a hundred years.
const authority = `-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIUQem4vIEXX2mLx+BEUI20N6QUv0MwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjkwMzU3NTNaGA8yMTI2MTEwNTAzNTc1
M1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEuk
n8t/xrl09K4qrBYQzdynqLwxWd7kKeiHqNDRS380YgUoQnUKnUQEIWTSoYbBsjg8
/M6ra4tMMfefzdGV2WejUzBRMB0GA1UdDgQWBBSs4En25tSjpArM6D8x+Z3ROHW2
rTAfBgNVHSMEGDAWgBSs4En25tSjpArM6D8x+Z3ROHW2rTAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0cAMEQCIF/1j3G/EdCr1HY5NDltEa7VLx0z9WOkHPvF
hdsWQSJEAiArFUyv9X67CS+BurJD4lOm6VcZ2qd4kCgoGkGXpr+Zsw==
-----END CERTIFICATE-----
`

// TestTwinNames holds the names that doctor looks for to those of the policies.
func TestTwinNames(t *testing.T) {
	if diff := cmp.Diff(webhooktwin.Names(), twin); diff != "" {
		t.Errorf("names (-written +looked for):\n%s", diff)
	}
}

// TestAnExtenderThatWaitsForItself: it takes three mistakes at once, of which this is told last.
func TestAnExtenderThatWaitsForItself(t *testing.T) {
	pod := func(namespace, name, scheduler string, containers ...string) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.PodSpec{SchedulerName: scheduler}}
		for _, name := range containers {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name})
		}
		return p
	}
	for name, test := range map[string]struct {
		profiles []configv1.KubeSchedulerProfile
		own      corev1.Pod
		waits    bool
	}{
		"beside the control plane's": {nil, pod("kube-system", "forewarm-extender-x7k2p", "default-scheduler", "extender"), true},
		"a profile without a name":   {[]configv1.KubeSchedulerProfile{{}}, pod("kube-system", "forewarm-extender-x7k2p", "default-scheduler", "extender"), true},
		"a second scheduler":         {[]configv1.KubeSchedulerProfile{{SchedulerName: new("forewarm-scheduler")}}, pod("forewarm-system", "forewarm-scheduler-5d8f-q2", "default-scheduler", "kube-scheduler", "extender"), false},
		"one that places itself":     {[]configv1.KubeSchedulerProfile{{SchedulerName: new("forewarm-scheduler")}}, pod("forewarm-system", "forewarm-scheduler-5d8f-q2", "forewarm-scheduler", "kube-scheduler", "extender"), true},
		"another of ours":            {nil, pod("forewarm-system", "forewarm-reserver-5d8f-q2", "default-scheduler", "reserver"), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			e := &f.Scheduler.Extenders[0]
			e.Ignorable, e.ManagedResources, f.Scheduler.Profiles = false, nil, test.profiles
			f.OwnPods, f.GPUPods = append(f.OwnPods, test.own), nil
			found := Diagnose(f)
			waits := len(found) == 3 && strings.Contains(found[2].String(), "is placed by the scheduler that waits for it")
			if waits != test.waits || !waits && len(found) != 2 {
				t.Errorf("found %v; it waits for itself: %v", found, test.waits)
			}
		})
	}
}

// TestSchedulerUsers: by whose rights placeholders are taken over.
func TestSchedulerUsers(t *testing.T) {
	second := extenderPod(corev1.ConditionTrue)
	second.Namespace, second.Spec.ServiceAccountName = v1alpha1.SystemNamespace, "forewarm-scheduler"
	second.Spec.Containers = append(second.Spec.Containers, corev1.Container{Name: "kube-scheduler"})
	for name, test := range map[string]struct {
		own  []corev1.Pod
		want []string
	}{
		"the control plane's": {[]corev1.Pod{extenderPod(corev1.ConditionTrue), replicaOf("a")}, []string{"system:kube-scheduler"}},
		"a second scheduler":  {[]corev1.Pod{second, second}, []string{"system:serviceaccount:forewarm-system:forewarm-scheduler"}},
	} {
		if diff := cmp.Diff(test.want, SchedulerUsers(test.own)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
