package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// longest is how long the scheduler's loop, which is serial, should wait for an extender.
const longest = 300 * time.Millisecond

// ours are the extenders of the file that are Forewarm's, with their places in it: those that ask for
// what the webhook marks pods with, or that are where ours serves. Of others only what harms everybody
// is told.
func ours(f Facts) map[string]*configv1.Extender { return extenders(f, true) }

func extenders(f Facts, own bool) map[string]*configv1.Extender {
	found := map[string]*configv1.Extender{}
	if f.Scheduler == nil {
		return nil
	}
	for i := range f.Scheduler.Extenders {
		if e := &f.Scheduler.Extenders[i]; own == (manages(e, v1alpha1.ResourceManaged) || at(e.URLPrefix, f.Address)) {
			found[fmt.Sprintf("scheduler configuration, extenders[%d]", i)] = e
		}
	}
	return found
}

func manages(e *configv1.Extender, name string) bool {
	return slices.ContainsFunc(e.ManagedResources, func(r configv1.ExtenderManagedResource) bool { return r.Name == name })
}

// at tells whether a prefix leads to an address as configured, which need not name a host.
func at(prefix, address string) bool {
	u, err := url.Parse(prefix)
	host, port, malformed := net.SplitHostPort(address)
	if err != nil || malformed != nil || u.Port() != port {
		return false
	}
	return host == "" || host == u.Hostname() || loopback(host) && loopback(u.Hostname())
}

// each tells of every extender of some, in their order.
func each(extenders map[string]*configv1.Extender, look func(where string, e *configv1.Extender) []Finding) []Finding {
	var all []Finding
	for _, where := range sortedKeys(extenders) {
		all = append(all, look(where, extenders[where])...)
	}
	return all
}

func extenderIsCalled(f Facts) []Finding {
	if f.Scheduler == nil || len(ours(f)) > 0 {
		return nil
	}
	what := "is empty"
	if len(f.Scheduler.Extenders) > 0 {
		what = "has none that manages " + v1alpha1.ResourceManaged + " or is at " + f.Address
	}
	return []Finding{{Wrong, "scheduler configuration, extenders", what + ": nobody calls the extender", "add the entry of manifests/scheduler/kube-scheduler-configuration.yaml; where extender.address is another, give the file with --config"}}
}

// timeout is how long the scheduler waits for an answer.
func timeout(e *configv1.Extender) time.Duration {
	if e.HTTPTimeout.Duration == 0 {
		return 5 * time.Second
	}
	return e.HTTPTimeout.Duration
}

// others tells of other makers' extenders what they cost every pod that they are asked about. What they
// need is not ours to know.
func others(f Facts) []Finding {
	return each(extenders(f, false), func(where string, e *configv1.Extender) []Finding {
		u, err := url.Parse(e.URLPrefix)
		far := err == nil && u.Host != "" && !loopback(u.Hostname())
		var all []Finding
		for _, trap := range []struct {
			trapped bool
			finding Finding
		}{
			{!e.NodeCacheCapable, Finding{Doubtful, where + ".nodeCacheCapable", "is false: since 1.33 the scheduler scores the nodes as if they were empty, for every pod that this extender, which is not Forewarm's, is asked about", "set it to true if that extender can do with names of nodes"}},
			{timeout(e) > longest, Finding{Doubtful, where + ".httpTimeout", fmt.Sprintf("is %s: while this extender, which is not Forewarm's, hangs, every pod waits that long for each call", timeout(e)), "set it as low as its maker allows"}},
			{len(e.ManagedResources) == 0, Finding{Doubtful, where + ".managedResources", "is empty: every pod costs a call of this extender, which is not Forewarm's", "list the resources that concern it"}},
			{far && u.Scheme == "http" || far && !verified(e.TLSConfig), Finding{Doubtful, where + ".urlPrefix", "leads to another host, and nobody checks who answers for this extender, which is not Forewarm's", "use https with tlsConfig.caFile, or run it beside the scheduler"}},
		} {
			if trap.trapped {
				all = append(all, trap.finding)
			}
		}
		return all
	})
}

// calls judges what is called, and what becomes of the scheduler when there is no answer.
func calls(f Facts) []Finding {
	return each(ours(f), func(where string, e *configv1.Extender) []Finding {
		timeout := timeout(e)
		var all []Finding
		for _, trap := range []struct {
			trapped bool
			finding Finding
		}{
			{!e.NodeCacheCapable, Finding{Wrong, where + ".nodeCacheCapable", "is false: since 1.33 the scheduler scores nodes as if they were empty, and sends whole nodes, which is nine times slower", "set it to true"}},
			{timeout > longest, Finding{Wrong, where + ".httpTimeout", fmt.Sprintf("is %s: while an extender hangs, every pod waits that long for each call", timeout), "set it to 300ms"}},
			{f.Deadline >= timeout, Finding{Wrong, where + ".httpTimeout", fmt.Sprintf("is %s and extender.deadline %s: the scheduler gives up before the extender passes everything through", timeout, f.Deadline), "set extender.deadline below httpTimeout"}},
			{!e.Ignorable, Finding{Doubtful, where + ".ignorable", "is false: while the extender is down, no pod that concerns it is scheduled", "set it to true, unless warm capacity matters more than scheduling"}},
			{e.FilterVerb != "filter" || e.PrioritizeVerb != "prioritize" || e.PreemptVerb != "preempt", Finding{Wrong, where, "does not call all of filter, prioritize and preempt by these names", "set filterVerb: filter, prioritizeVerb: prioritize, preemptVerb: preempt"}},
			{e.BindVerb != "", Finding{Wrong, where + ".bindVerb", "is set, and the extender does not bind: pods would never be bound", "remove it"}},
			{e.PrioritizeVerb != "" && e.Weight < 3, Finding{Doubtful, where + ".weight", fmt.Sprintf("is %d: packing counts %d at most, where the scheduler's own spreading counts 200", e.Weight, e.Weight*100), "set it to 5"}},
		} {
			if trap.trapped {
				all = append(all, trap.finding)
			}
		}
		return all
	})
}

// transport judges who could answer in our place.
func transport(f Facts) []Finding {
	return each(ours(f), func(where string, e *configv1.Extender) []Finding {
		u, err := url.Parse(e.URLPrefix)
		if err != nil || u.Host == "" {
			return []Finding{{Wrong, where + ".urlPrefix", fmt.Sprintf("%q is no URL", e.URLPrefix), "write for example http://127.0.0.1:8888"}}
		}
		tls := e.TLSConfig
		switch {
		case u.Scheme == "http" && !loopback(u.Hostname()):
			return []Finding{{Wrong, where + ".urlPrefix", "is plain HTTP to another host: whoever is on the way decides about preemption", "run the extender beside the scheduler, or use https with tlsConfig"}}
		case u.Scheme == "https" && (!e.EnableHTTPS || !verified(tls)):
			return []Finding{{Wrong, where + ".tlsConfig", "the extender's certificate is not verified", "set enableHTTPS: true and tlsConfig.caFile, and remove insecure"}}
		case u.Scheme == "https" && tls.CertFile == "" && len(tls.CertData) == 0:
			return []Finding{{Doubtful, where + ".tlsConfig", "shows no client certificate, which extender.clientCA asks for", "set tlsConfig.certFile and keyFile; a renewed one needs a restart of the scheduler"}}
		}
		return nil
	})
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// verified tells whether the scheduler checks who answers.
func verified(tls *configv1.ExtenderTLSConfig) bool {
	return tls != nil && !tls.Insecure && (tls.CAFile != "" || len(tls.CAData) > 0)
}

// whoIsManaged judges for whom there are calls.
func whoIsManaged(f Facts) []Finding {
	return each(ours(f), func(where string, e *configv1.Extender) []Finding {
		where += ".managedResources"
		if len(e.ManagedResources) == 0 {
			return []Finding{{Wrong, where, "is empty: every pod costs a call, also those that do not concern the extender", "list the GPU resources of the cluster, and " + v1alpha1.ResourceManaged}}
		}
		var all []Finding
		for _, name := range demanded(f) {
			if !manages(e, name) {
				all = append(all, Finding{Wrong, where, "lacks " + name + ": pods that ask for it are neither guarded nor packed", "add it; with extender.mode SecondScheduler, to the chart's extender.managedResources"})
			}
		}
		switch {
		case len(f.DeviceClasses) == 0:
		case !manages(e, v1alpha1.ResourceManaged):
			all = append(all, Finding{Wrong, where, "lacks " + v1alpha1.ResourceManaged + ": pods that get their GPUs by claims are not seen", "add it with ignoredByScheduler: true"})
		case !f.MarkClaims:
			all = append(all, Finding{Doubtful, "configuration, webhook.markClaims", "is false: of pods that get their GPUs by claims alone, the extender sees those that ask for " + v1alpha1.ResourceManaged + " themselves", "set it to true; give the file with --config to have it looked at"})
		}
		return all
	})
}

// demanded are the extended resources of WarmPools and the GPUs that nodes offer, in order.
func demanded(f Facts) []string {
	names := map[string]bool{}
	for i := range f.Pools {
		if name := string(f.Pools[i].Spec.Demand.Resource); strings.Contains(name, "/") {
			names[name] = true
		}
	}
	for i := range f.Nodes {
		for name := range f.Nodes[i].Status.Allocatable {
			if webhook.IsGPU(name) {
				names[string(name)] = true
			}
		}
	}
	return sortedKeys(names)
}

// fakeResources looks for names that no node offers beside a DeviceClass that stands for an
// extended resource: the scheduler's DRA plugin, unlike its resource plugin, does not ignore
// them, and refuses such pods everywhere before any extender is called.
func fakeResources(f Facts) []Finding {
	class := ""
	for i := range f.DeviceClasses {
		if name := f.DeviceClasses[i].Spec.ExtendedResourceName; name != nil {
			class = f.DeviceClasses[i].Name + " (" + *name + ")"
		}
	}
	if class == "" {
		return nil
	}
	every := ours(f)
	maps.Copy(every, extenders(f, false))
	return each(every, func(where string, e *configv1.Extender) []Finding {
		var all []Finding
		for _, r := range e.ManagedResources {
			if r.IgnoredByScheduler && r.Name != v1alpha1.ResourceManaged && !offered(f.Nodes, r.Name) {
				all = append(all, Finding{Wrong, where + ".managedResources", fmt.Sprintf("%s is offered by no node, and DeviceClass %s stands for an extended resource: pods that ask for both are refused on every node, and no extender is called", r.Name, class), "ask for it by an annotation or a claim instead"})
			}
		}
		return all
	})
}

func offered(nodes []corev1.Node, name string) bool {
	return slices.ContainsFunc(nodes, func(n corev1.Node) bool { _, ok := n.Status.Allocatable[corev1.ResourceName(name)]; return ok })
}

// sample looks for a scheduler that sees few nodes, of which none may be of the pool. A profile's own
// percentage overrides that of all.
func sample(f Facts) []Finding {
	if f.Scheduler == nil {
		return nil
	}
	told := map[string]*int32{"percentageOfNodesToScore": f.Scheduler.PercentageOfNodesToScore}
	for i := range f.Scheduler.Profiles {
		told[fmt.Sprintf("profiles[%d].percentageOfNodesToScore", i)] = f.Scheduler.Profiles[i].PercentageOfNodesToScore
	}
	var all []Finding
	for _, where := range sortedKeys(told) {
		percent := told[where]
		if percent == nil || *percent <= 0 || *percent >= 50 || len(f.Nodes) <= 100 {
			continue
		}
		all = append(all, Finding{Doubtful, "scheduler configuration, " + where, fmt.Sprintf("is %d: of %d nodes about %d are looked at in turn, and the extender packs on those", *percent, len(f.Nodes), max(100, len(f.Nodes)*int(*percent)/100)), "set 100 where GPU nodes are few; left out it is 50 or less, down to 5 from 5,625 nodes on"})
	}
	return all
}

// schedulers are the names by which pods ask for the scheduler of a configuration.
func schedulers(c *configv1.KubeSchedulerConfiguration) []string {
	if len(c.Profiles) == 0 {
		return []string{corev1.DefaultSchedulerName}
	}
	var names []string
	for _, p := range c.Profiles {
		name := corev1.DefaultSchedulerName
		if p.SchedulerName != nil {
			name = *p.SchedulerName
		}
		names = append(names, name)
	}
	return names
}

// runsExtender tells whether a pod of ours answers a scheduler, alone or beside one.
func runsExtender(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "extender" })
}

// ownScheduler looks for an extender whose own pod waits for it.
func ownScheduler(f Facts) []Finding {
	blocking := ""
	each(ours(f), func(where string, e *configv1.Extender) []Finding {
		if len(e.ManagedResources) == 0 && !e.Ignorable {
			blocking = where
		}
		return nil
	})
	if blocking == "" {
		return nil
	}
	var all []Finding
	for i := range f.OwnPods {
		if pod := &f.OwnPods[i]; slices.Contains(schedulers(f.Scheduler), pod.Spec.SchedulerName) && runsExtender(pod) {
			all = append(all, Finding{Wrong, "pod " + name(pod), "is placed by the scheduler that waits for it (" + blocking + "): once it is gone, it never comes back", "set ignorable: true or managedResources"})
		}
	}
	return all
}

// leader looks for an extender that follows another Lease than the scheduler holds: it does not learn when
// another scheduler leads.
func leader(f Facts) []Finding {
	if f.Scheduler == nil || !f.LeaseKnown || len(ours(f)) == 0 {
		return nil
	}
	held := ""
	if l := f.Scheduler.LeaderElection; l.LeaderElect == nil || *l.LeaderElect {
		held = cmp.Or(l.ResourceNamespace, metav1.NamespaceSystem) + "/" + cmp.Or(l.ResourceName, "kube-scheduler")
	}
	if f.Lease == held {
		return nil
	}
	return []Finding{{Wrong, "configuration, extender.schedulerLease", fmt.Sprintf("is %q, and the scheduler's leader election is by %q: what one scheduler had in mind stays when another leads, and both extenders make room ahead", f.Lease, held), "set it to the scheduler's; empty where leaderElect is false"}}
}
