package handler

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// Kind is a kind of objects that the index knows.
type Kind string

// Kinds that can be compared with the API server.
const (
	Pods       Kind = "pod"
	Nodes      Kind = "node"
	Pools      Kind = "pool"
	Namespaces Kind = "namespace"
)

// Known is an object as the index knows it. Key is a pod's UID, and any other's name.
type Known struct {
	types.NamespacedName
	Key, Version string
}

// Known are the objects of a kind that the index knows, in no order.
func (x *Index) Known(kind Kind) []Known {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []Known
	add := func(key types.NamespacedName, uid, version string) { all = append(all, Known{key, uid, version}) }
	switch kind {
	case Pods:
		return x.knownPods()
	case Nodes:
		for name, e := range x.nodes {
			if e.known {
				add(types.NamespacedName{Name: name}, name, e.object.ResourceVersion)
			}
		}
	case Pools:
		for name, pool := range x.pools {
			add(types.NamespacedName{Name: name}, name, pool.ResourceVersion)
		}
	case Namespaces:
		for name, n := range x.namespaces {
			add(types.NamespacedName{Name: name}, name, n.version)
		}
	}
	return all
}

func (x *Index) knownPods() []Known {
	all := make([]Known, 0, len(x.pods)+len(x.pending))
	for uid, pod := range x.pods {
		all = append(all, Known{pod.key, string(uid), pod.version})
	}
	for uid, p := range x.pending {
		if _, both := x.pods[uid]; !both {
			all = append(all, Known{client.ObjectKeyFromObject(p.pod), string(uid), p.pod.ResourceVersion})
		}
	}
	return all
}

// Version is the version in which the index knows an object; known is false if it does not.
func (x *Index) Version(kind Kind, key string) (version string, known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.version(kind, key)
}

func (x *Index) version(kind Kind, key string) (version string, known bool) {
	switch kind {
	case Pods:
		if pod, is := x.pods[types.UID(key)]; is {
			return pod.version, true
		}
		if p, is := x.pending[types.UID(key)]; is {
			return p.pod.ResourceVersion, true
		}
	case Nodes:
		if e := x.nodes[key]; e != nil && e.known {
			return e.object.ResourceVersion, true
		}
	case Pools:
		if pool := x.pools[key]; pool != nil {
			return pool.ResourceVersion, true
		}
	case Namespaces:
		n, is := x.namespaces[key]
		return n.version, is
	}
	return "", false
}

// Repair takes in what was read of an object now, nil if it is no more, and names what was wrong; empty if
// nothing was.
func (x *Index) Repair(kind Kind, key string, object client.Object) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	before, had := x.version(kind, key)
	switch {
	case object == nil && !had, object != nil && had && !Newer(object.GetResourceVersion(), before):
		return ""
	case object == nil:
		x.forgetObject(kind, key)
		return "gone"
	}
	x.setObject(object)
	_, has := x.version(kind, key)
	return wrong[[2]bool{had, has}]
}

// wrong is what was, by whether an object was known and is; a pod that has ended is not known, nor one that
// is deleted without having run.
var wrong = map[[2]bool]string{{true, true}: "stale", {true, false}: "gone", {false, true}: "missing"}

func (x *Index) setObject(object client.Object) {
	switch o := object.(type) {
	case *corev1.Pod:
		x.setPod(o)
	case *corev1.Node:
		x.setNode(o)
	case *v1alpha1.WarmPool:
		x.setPool(o)
	case *corev1.Namespace:
		x.setNamespace(o)
	}
}

func (x *Index) forgetObject(kind Kind, key string) {
	switch kind {
	case Pods:
		x.dropPod(types.UID(key))
	case Nodes:
		x.dropNode(key)
	case Pools:
		x.dropPool(key)
	case Namespaces:
		delete(x.namespaces, key)
	}
}

// Newer tells whether resource version a is after b; they are decimal numbers.
func Newer(a, b string) bool {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) > 0
}
