// Package audit compares what the extender knows with the API server, and puts it right.
package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
)

const (
	auditEvery = time.Minute
	// settleFor is how long a difference has to go away by itself: the index may merely be behind.
	settleFor = 5 * time.Second
	// page is how many objects are listed at a time, of which the API server sends the metadata alone.
	page = 500
	// pages of a kind are compared in one audit, or as many as it takes to have all compared within
	// audits, where there are more.
	pages, audits = 20, 5
	// repairsAtMost are read whole in one audit.
	repairsAtMost = 1000
)

// Auditor compares the index with the API server again and again, and repairs it: a watch that
// lost an event would otherwise be wrong until a restart. Every minute it compares all that the index
// knows, up to 10,000 objects of a kind, and more within five.
type Auditor struct {
	Index *handler.Index
	// Reader asks the API server itself.
	Reader  client.Reader
	Synced  func() bool
	Metrics *metrics.Metrics
	Log     logr.Logger
	// Now is asked for an audit out of turn, when another scheduler has taken over.
	Now <-chan struct{}

	walks map[handler.Kind]*walk
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

// subject is a kind to compare.
type subject struct {
	kind   handler.Kind
	list   metav1.TypeMeta
	object func() client.Object
	// selects are those that count; nil for all.
	selects fields.Selector
}

// subjects are in the order in which one decides about the next.
var subjects = []subject{
	{handler.Pools, metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WarmPoolList"}, func() client.Object { return &v1alpha1.WarmPool{} }, nil},
	{handler.Namespaces, metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}, func() client.Object { return &corev1.Namespace{} }, nil},
	{handler.Nodes, metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, func() client.Object { return &corev1.Node{} }, nil},
	{handler.Pods, metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, func() client.Object { return &corev1.Pod{} }, fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)), fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))},
}

// walk is how far a kind has been listed.
type walk struct {
	next string
	// unseen are those that were known when it began, and have not been listed.
	unseen map[string]handler.Known
	// most is how many pages are listed in one audit.
	most int
}

// Audit compares the next objects of each kind, and repairs what is different and stays so.
func (a *Auditor) Audit(ctx context.Context) error {
	var failed []error
	doubts := make([][]handler.Known, len(subjects))
	some := 0
	for i, s := range subjects {
		var err error
		if doubts[i], err = a.compare(ctx, s); err != nil {
			failed = append(failed, fmt.Errorf("list metadata of %ss: %w", s.kind, err))
		}
		some += len(doubts[i])
	}
	if some == 0 {
		return errors.Join(failed...)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settleFor):
	}
	read := 0
	for i, s := range subjects {
		for _, doubt := range doubts[i] {
			if !a.differs(s.kind, doubt) {
				continue
			}
			if read++; read > repairsAtMost {
				return errors.Join(append(failed, fmt.Errorf("of %d objects that look different %d were read, and the others are next time", some, repairsAtMost))...)
			}
			if err := a.repair(ctx, s, doubt); err != nil {
				return errors.Join(append(failed, err)...)
			}
		}
	}
	return errors.Join(failed...)
}

// compare lists the next pages of a kind, and tells which objects are unknown, or known in another
// version; Version is empty of what is known and was not listed.
func (a *Auditor) compare(ctx context.Context, s subject) (doubts []handler.Known, err error) {
	w := a.walk(s.kind)
	for range w.most {
		list := &metav1.PartialObjectMetadataList{TypeMeta: s.list}
		err := a.Reader.List(ctx, list, &client.ListOptions{Limit: page, Continue: w.next, FieldSelector: s.selects})
		if next := instead(err); next != "" {
			w.next = next
			continue
		}
		if err != nil {
			delete(a.walks, s.kind)
			return doubts, err
		}
		for i := range list.Items {
			listed := known(s.kind, &list.Items[i])
			delete(w.unseen, listed.Key)
			if a.differs(s.kind, listed) {
				doubts = append(doubts, listed)
			}
		}
		a.Metrics.Audited(string(s.kind), len(list.Items))
		if w.next = list.Continue; w.next == "" {
			break
		}
	}
	if w.next != "" {
		return doubts, nil
	}
	delete(a.walks, s.kind)
	for _, gone := range slices.SortedFunc(maps.Values(w.unseen), func(x, y handler.Known) int { return strings.Compare(x.Key, y.Key) }) {
		gone.Version = ""
		if a.differs(s.kind, gone) {
			doubts = append(doubts, gone)
		}
	}
	return doubts, nil
}

// instead is the token that an API server gives for one that has expired; what has changed since is listed as
// it is now. It is empty for any other error, and for none.
func instead(err error) string {
	expired := apierrors.APIStatus(nil)
	if !apierrors.IsResourceExpired(err) || !errors.As(err, &expired) {
		return ""
	}
	return expired.Status().Continue
}

// walk is the one that is under way, or a new one.
func (a *Auditor) walk(kind handler.Kind) *walk {
	if w := a.walks[kind]; w != nil {
		return w
	}
	all := a.Index.Known(kind)
	w := &walk{unseen: make(map[string]handler.Known, len(all)), most: max(pages, (len(all)+page*audits-1)/(page*audits))}
	for _, one := range all {
		w.unseen[one.Key] = one
	}
	if a.walks == nil {
		a.walks = map[handler.Kind]*walk{}
	}
	a.walks[kind] = w
	return w
}

func known(kind handler.Kind, o client.Object) handler.Known {
	k := handler.Known{NamespacedName: client.ObjectKeyFromObject(o), Key: o.GetName(), Version: o.GetResourceVersion()}
	if kind == handler.Pods {
		k.Key = string(o.GetUID())
	}
	return k
}

// differs tells whether the index does not know an object, or an older version, or one that was not listed.
func (a *Auditor) differs(kind handler.Kind, listed handler.Known) bool {
	version, known := a.Index.Version(kind, listed.Key)
	if listed.Version == "" {
		return known
	}
	return !known || handler.Newer(listed.Version, version)
}

// repair asks for one object and corrects what the index knows of it.
func (a *Auditor) repair(ctx context.Context, s subject, doubt handler.Known) error {
	object := s.object()
	err := a.Reader.Get(ctx, doubt.NamespacedName, object)
	switch {
	case apierrors.IsNotFound(err):
		object = nil
	case err != nil:
		return fmt.Errorf("get %s %s: %w", s.kind, doubt.NamespacedName, err)
	case known(s.kind, object).Key != doubt.Key:
		object = nil // another pod of its name
	}
	if kind := a.Index.Repair(s.kind, doubt.Key, object); kind != "" {
		a.Metrics.Repaired(string(s.kind), kind)
		a.Log.Info("The index was wrong and has been repaired", "object", s.kind, "name", doubt.NamespacedName, "kind", kind)
	}
	return nil
}
