package coming

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// workload is what we read of a Workload of Kueue; v1beta1, v1beta2 and v1 say it in the same places.
type workload struct {
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Active  *bool    `json:"active"`
		PodSets []podSet `json:"podSets"`
	} `json:"spec"`
	Status struct {
		Conditions      []metav1.Condition `json:"conditions"`
		AdmissionChecks []check            `json:"admissionChecks"`
		Admission       struct {
			Assignments []assignment `json:"podSetAssignments"`
		} `json:"admission"`
	} `json:"status"`
}

type podSet struct {
	Name     string                 `json:"name"`
	Count    int64                  `json:"count"`
	Template corev1.PodTemplateSpec `json:"template"`
}

// check is one that must pass before the workload is admitted.
type check struct {
	Name string `json:"name"`
}

type assignment struct {
	Name  string `json:"name"`
	Count *int64 `json:"count"`
}

var (
	workloadKind = schema.GroupKind{Group: "kueue.x-k8s.io", Kind: "Workload"}
	checkKind    = schema.GroupKind{Group: "kueue.x-k8s.io", Kind: "AdmissionCheck"}
)

// elsewhere are the controllers of AdmissionChecks which see to the nodes themselves: by a
// ProvisioningRequest to Cluster Autoscaler, and in another cluster. A new one is a row here.
var elsewhere = []string{"kueue.x-k8s.io/provisioning-request", "kueue.x-k8s.io/multikueue"}

// page is how many Workloads are read at once.
const page = 500

// workloads are the pods of Workloads that have their quota and are not admitted yet; none where there
// is no Kueue. All are looked through now and then. Those that had their quota are looked at each time, so
// that what has been admitted does not count beside its own pods.
func (f *Finder) workloads(ctx context.Context, now time.Time) ([]Pods, error) {
	mapping, err := f.cached.RESTMapper().RESTMapping(workloadKind)
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
		found = append(found, read(item).pods(now)...)
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
	seen := func(c check) bool { return elsewhere[c.Name] }
	for token := ""; ; {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(kind.GroupVersion().WithKind("WorkloadList"))
		if err := f.live.List(ctx, &list, client.Limit(page), client.Continue(token)); err != nil {
			return fmt.Errorf("list Kueue's Workloads: %w", err)
		}
		for i := range list.Items {
			if w := read(list.Items[i]); w.waits() && !slices.ContainsFunc(w.Status.AdmissionChecks, seen) {
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

// read is a Workload; one that waits for nothing where its version says it elsewhere.
func read(item unstructured.Unstructured) workload {
	var w workload
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &w); err != nil {
		return workload{}
	}
	return w
}

// waits tells that it has its quota and is not admitted yet.
func (w workload) waits() bool {
	is := func(condition string) bool { return meta.IsStatusConditionTrue(w.Status.Conditions, condition) }
	active := w.Spec.Active == nil || *w.Spec.Active
	return active && is("QuotaReserved") && !is("Admitted") && !is("Finished") && !is("Evicted")
}

// pods are those that start once the workload is admitted, as many as it was given quota for.
func (w workload) pods(now time.Time) []Pods {
	if !w.waits() {
		return nil
	}
	var found []Pods
	for _, set := range w.Spec.PodSets {
		if count := w.countOf(set); count > 0 {
			found = append(found, Pods{At: now, Pod: podOf(w.ObjectMeta, set.Template), Count: count})
		}
	}
	return found
}

// countOf is how many pods of a set were given quota.
func (w workload) countOf(set podSet) int64 {
	for _, a := range w.Status.Admission.Assignments {
		if a.Name == set.Name && a.Count != nil {
			return *a.Count
		}
	}
	return set.Count
}
