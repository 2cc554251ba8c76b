package coming

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/capacity/kueue"
)

var checkKind = schema.GroupKind{Group: kueue.Group, Kind: "AdmissionCheck"}

// elsewhere are the controllers of AdmissionChecks which see to the nodes themselves: by a
// ProvisioningRequest to Cluster Autoscaler, and in another cluster. A new one is a row here.
var elsewhere = []string{kueue.Group + "/provisioning-request", kueue.Group + "/multikueue"}

// workloads are the pods of Workloads that have their quota and are not admitted yet; none where there
// is no Kueue. All are looked through now and then. Those that had their quota are looked at each time, so
// that what has been admitted does not count beside its own pods.
func (f *Finder) workloads(ctx context.Context, now time.Time) ([]Pods, error) {
	mapping, err := f.cached.RESTMapper().RESTMapping(kueue.WorkloadKind)
	if meta.IsNoMatchError(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("find Kueue's Workloads: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patienceLive)
	defer cancel()
	kind := mapping.GroupVersionKind
	if now.Sub(f.searched) >= lookAgain {
		if err := f.search(ctx, kind); err != nil {
			return nil, err
		}
		f.searched = now
	}
	var found []Pods
	for _, key := range f.reserved {
		var item unstructured.Unstructured
		item.SetGroupVersionKind(kind)
		if err := f.live.Get(ctx, key, &item); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("get Workload %s: %w", key, err)
		}
		found = append(found, pods(&item, now)...)
	}
	return found, nil
}

// search looks all Workloads through for those that have their quota, and for whose nodes nobody else sees.
func (f *Finder) search(ctx context.Context, kind schema.GroupVersionKind) error {
	f.reserved = nil
	elsewhere, err := f.checksElsewhere(ctx)
	if err != nil {
		return err
	}
	seen := func(c kueue.Check) bool { return elsewhere[c.Name] }
	for token := ""; ; {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(kind.GroupVersion().WithKind("WorkloadList"))
		if err := f.live.List(ctx, &list, client.Limit(kueue.Page), client.Continue(token)); err != nil {
			return fmt.Errorf("list Kueue's Workloads: %w", err)
		}
		for i := range list.Items {
			w, ok := waiting(&list.Items[i])
			if ok && !slices.ContainsFunc(w.Status.AdmissionChecks, seen) {
				f.reserved = append(f.reserved, client.ObjectKeyFromObject(&list.Items[i]))
			}
		}
		if token = list.GetContinue(); token == "" {
			return nil
		}
	}
}

// checksElsewhere are the AdmissionChecks whose controllers see to the nodes themselves.
func (f *Finder) checksElsewhere(ctx context.Context) (map[string]bool, error) {
	mapping, err := f.cached.RESTMapper().RESTMapping(checkKind)
	if meta.IsNoMatchError(err) {
		return nil, nil // before Kueue 0.5
	} else if err != nil {
		return nil, fmt.Errorf("find Kueue's AdmissionChecks: %w", err)
	}
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(mapping.GroupVersionKind.GroupVersion().WithKind("AdmissionCheckList"))
	if err := f.live.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list Kueue's AdmissionChecks: %w", err)
	}
	checks := map[string]bool{}
	for _, item := range list.Items {
		controller, _, _ := unstructured.NestedString(item.Object, "spec", "controllerName")
		checks[item.GetName()] = slices.Contains(elsewhere, controller)
	}
	return checks, nil
}

// waiting is a Workload that has its quota and is not admitted yet; false for another.
func waiting(item *unstructured.Unstructured) (w kueue.Workload, ok bool) {
	p := kueue.ProgressOf(item)
	if !p.Active() || !p.Is("QuotaReserved") || p.Is("Admitted", "Finished", "Evicted") {
		return w, false
	}
	return kueue.Read(item)
}

// pods are those that start once a Workload is admitted, as many as it was given quota for.
func pods(item *unstructured.Unstructured, now time.Time) (found []Pods) {
	w, ok := waiting(item)
	if !ok {
		return nil
	}
	for _, set := range w.Spec.PodSets {
		if count := countOf(w, set); count > 0 {
			found = append(found, Pods{At: now, Pod: podOf(w.ObjectMeta, set.Template), Count: count})
		}
	}
	return found
}

// countOf is how many pods of a set were given quota.
func countOf(w kueue.Workload, set kueue.PodSet) int64 {
	for _, a := range w.Status.Admission.Assignments {
		if a.Name == set.Name && a.Count != nil {
			return *a.Count
		}
	}
	return set.Count
}
