package coming

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
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
		Conditions []metav1.Condition `json:"conditions"`
		Admission  struct {
			Assignments []assignment `json:"podSetAssignments"`
		} `json:"admission"`
	} `json:"status"`
}

type podSet struct {
	Name     string                 `json:"name"`
	Count    int64                  `json:"count"`
	Template corev1.PodTemplateSpec `json:"template"`
}

type assignment struct {
	Name  string `json:"name"`
	Count *int64 `json:"count"`
}

var workloadKind = schema.GroupKind{Group: "kueue.x-k8s.io", Kind: "Workload"}

// workloads are the pods of Workloads that have their quota and are not admitted yet; none where there
// is no Kueue.
func workloads(ctx context.Context, mapper meta.RESTMapper, live client.Reader, now time.Time) ([]Pods, error) {
	mapping, err := mapper.RESTMapping(workloadKind)
	if meta.IsNoMatchError(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("find Kueue's Workloads: %w", err)
	}
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(mapping.GroupVersionKind.GroupVersion().WithKind("WorkloadList"))
	if err := live.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list Kueue's Workloads: %w", err)
	}
	var found []Pods
	for _, item := range list.Items {
		var w workload
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &w); err != nil {
			continue // of a version that says it elsewhere
		}
		found = append(found, w.pods(now)...)
	}
	return found, nil
}

// pods are those that start once the workload is admitted, as many as it was given quota for.
func (w workload) pods(now time.Time) []Pods {
	is := func(condition string) bool { return meta.IsStatusConditionTrue(w.Status.Conditions, condition) }
	active := w.Spec.Active == nil || *w.Spec.Active
	if !active || !is("QuotaReserved") || is("Admitted") || is("Finished") || is("Evicted") {
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
