// Package audit compares what the extender knows with the API server, and puts it right.
package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/extender/handler"
)

const (
	auditEvery = time.Minute
	// auditNodes is how many nodes one audit looks at, in turns: each is a list of the pods on a
	// node, which the API server answers from its own cache by an index.
	auditNodes = 200
)

// Auditor compares the index with the API server again and again, and repairs it: a watch that
// lost an event would otherwise be wrong until a restart.
type Auditor struct {
	Index *handler.Index
	// Reader asks the API server itself.
	Reader  client.Reader
	Synced  func() bool
	Metrics *handler.Metrics
	Log     logr.Logger
	// Now is asked for an audit out of turn, when another scheduler has taken over.
	Now <-chan struct{}

	after string // the node that the last audit ended with
}

// NeedLeaderElection says that every replica audits itself.
func (a *Auditor) NeedLeaderElection() bool { return false }

// Start audits until ctx ends.
func (a *Auditor) Start(ctx context.Context) error {
	tick := time.NewTicker(auditEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-a.Now:
		}
		if !a.Synced() {
			continue
		}
		if err := a.Audit(ctx); err != nil && ctx.Err() == nil {
			a.Log.Error(err, "Audit not finished")
		}
	}
}

// Audit looks at the next nodes that offer what a WarmPool or a GPU pod may ask for.
func (a *Auditor) Audit(ctx context.Context) error {
	nodes := a.Index.Auditable()
	first, _ := slices.BinarySearch(nodes, a.after+"\x00")
	nodes = append(nodes[first:], nodes[:first]...)
	for _, node := range nodes[:min(len(nodes), auditNodes)] {
		if err := a.node(ctx, node); err != nil {
			return fmt.Errorf("node %s: %w", node, err)
		}
		a.after = node
	}
	return nil
}

// node compares the pods on one node. A difference counts only if it is still there once the pod
// itself was asked for: the index may merely be behind, or ahead of the list.
func (a *Auditor) node(ctx context.Context, node string) error {
	var pods corev1.PodList
	err := a.Reader.List(ctx, &pods, client.MatchingFields{"spec.nodeName": node}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}})
	if err != nil {
		return err
	}
	listed := map[types.UID]types.NamespacedName{}
	for i := range pods.Items {
		if pod := &pods.Items[i]; !handler.Ended(pod) {
			listed[pod.UID] = client.ObjectKeyFromObject(pod)
		}
	}
	known := a.Index.PodsOn(node)
	doubtful := map[types.UID]types.NamespacedName{}
	for uid, key := range listed {
		if _, ok := known[uid]; !ok {
			doubtful[uid] = key
		}
	}
	for uid, key := range known {
		if _, ok := listed[uid]; !ok {
			doubtful[uid] = key
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(doubtful)) {
		if err := a.pod(ctx, uid, doubtful[uid]); err != nil {
			return err
		}
	}
	return nil
}

// pod asks for one pod and corrects what the index knows of it.
func (a *Auditor) pod(ctx context.Context, uid types.UID, key types.NamespacedName) error {
	pod := &corev1.Pod{}
	err := a.Reader.Get(ctx, key, pod)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get pod %s: %w", key, err)
	}
	kind := ""
	if err != nil || pod.UID != uid || handler.Ended(pod) {
		kind = a.Index.RepairGone(uid)
	} else {
		kind = a.Index.Repair(pod)
	}
	if kind != "" {
		a.Metrics.Repaired(kind)
		a.Log.Info("The index was wrong and has been repaired", "pod", key, "kind", kind)
	}
	return nil
}
