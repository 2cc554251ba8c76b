package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"forewarm.dev/api/v1alpha1"
)

// GPUPods are the pods with GPUs that name one scheduler, placeholders left out.
type GPUPods struct {
	Scheduler string
	// Count is how many there are, and Example names one.
	Count   int
	Example string
}

// elsewhere looks for pods with GPUs that the scheduler of the configuration never sees.
func elsewhere(f Facts) []Finding {
	if f.Scheduler == nil || len(ours(f)) == 0 {
		return nil
	}
	var all []Finding
	here := schedulers(f.Scheduler)
	for _, pods := range f.GPUPods {
		if !slices.Contains(here, pods.Scheduler) {
			all = append(all, Finding{Doubtful, fmt.Sprintf("%d pods with GPUs, as %s", pods.Count, pods.Example), fmt.Sprintf("name scheduler %s, and this configuration is of %s: the extender is not asked about them, and they may take what is kept warm for others", pods.Scheduler, strings.Join(here, ", ")), "have them name spec.schedulerName: " + here[0] + ", or give that scheduler's configuration the same extender"})
		}
	}
	return all
}

// disruptionBudgets looks for PodDisruptionBudgets of placeholders: the scheduler deletes those first whose
// budgets allow it, and counts the others against a node.
func disruptionBudgets(f Facts) []Finding {
	var all []Finding
	for i := range f.Budgets {
		b := &f.Budgets[i]
		if i := slices.IndexFunc(f.Pools, func(p v1alpha1.WarmPool) bool { return protects(b, &p) }); i >= 0 {
			all = append(all, Finding{Wrong, fmt.Sprintf("PodDisruptionBudget %s/%s", b.Namespace, b.Name), "selects placeholders of WarmPool " + f.Pools[i].Name + ": the scheduler takes real work instead of them, and no node with one can be drained", "delete it, or have its selector leave out " + v1alpha1.LabelPool})
		}
	}
	return all
}

func protects(b *policyv1.PodDisruptionBudget, pool *v1alpha1.WarmPool) bool {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	return err == nil && slices.ContainsFunc(pool.Spec.Chunks, func(c v1alpha1.Chunk) bool {
		return selector.Matches(labels.Set{v1alpha1.LabelPool: pool.Name, v1alpha1.LabelChunk: c.Name})
	})
}

// ignored looks for resources that the scheduler is told not to count, though a node has so many of them
// and no more.
func ignored(f Facts) []Finding {
	if f.Scheduler == nil {
		return nil
	}
	counted := demanded(f)
	all := each(ours(f), func(where string, e *configv1.Extender) []Finding {
		all := ignoredBy(where, e, counted, "remove ignoredByScheduler: the extender does not count for the scheduler")
		if slices.ContainsFunc(e.ManagedResources, func(r configv1.ExtenderManagedResource) bool {
			return r.Name == v1alpha1.ResourceManaged && !r.IgnoredByScheduler
		}) {
			all = append(all, Finding{Doubtful, where + ".managedResources", v1alpha1.ResourceManaged + " is counted by the scheduler, and no node offers it: a pod that asks for more than none of it fits nowhere", "add ignoredByScheduler: true"})
		}
		return all
	})
	all = append(all, each(extenders(f, false), func(where string, e *configv1.Extender) []Finding {
		return ignoredBy(where, e, counted, "remove ignoredByScheduler, unless this extender, which is not Forewarm's, counts it; then no pool may have it as its demand")
	})...)
	for i, p := range f.Scheduler.Profiles {
		where, fit := fmt.Sprintf("scheduler configuration, profiles[%d].pluginConfig, NodeResourcesFit", i), fitArguments(p)
		for _, name := range counted {
			group, _, _ := strings.Cut(name, "/")
			if slices.Contains(fit.IgnoredResources, name) {
				all = append(all, uncounted(where+".ignoredResources", name, "remove it there"))
			} else if slices.Contains(fit.IgnoredResourceGroups, group) {
				all = append(all, uncounted(where+".ignoredResourceGroups", name, "remove "+group+" there"))
			}
		}
	}
	return all
}

func ignoredBy(where string, e *configv1.Extender, counted []string, remedy string) []Finding {
	var all []Finding
	for _, r := range e.ManagedResources {
		if r.IgnoredByScheduler && slices.Contains(counted, r.Name) {
			all = append(all, uncounted(where+".managedResources", r.Name, remedy))
		}
	}
	return all
}

func uncounted(where, name, remedy string) Finding {
	return Finding{Wrong, where, name + " is not counted by the scheduler: it places more pods on a node than that has room for", remedy}
}

// fitArguments are those of the plugin that counts resources; none where they cannot be read.
func fitArguments(p configv1.KubeSchedulerProfile) (fit configv1.NodeResourcesFitArgs) {
	for _, c := range p.PluginConfig {
		if c.Name == "NodeResourcesFit" && json.Unmarshal(c.Args.Raw, &fit) != nil {
			return configv1.NodeResourcesFitArgs{}
		}
	}
	return fit
}
