// Package kueue reads the Workloads of Kueue. v1beta1, v1beta2 and v1 say in the same places what is read.
package kueue

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is that of Kueue's kinds.
const Group = "kueue.x-k8s.io"

// WorkloadKind is the kind of Workloads.
var WorkloadKind = schema.GroupKind{Group: Group, Kind: "Workload"}

// Page is how many Workloads are read at once: the whole of many of them may be gigabytes.
const Page = 500

// Progress is how far a Workload is. To read it takes a fraction of what the whole takes.
type Progress struct {
	Spec struct {
		Active *bool `json:"active"`
	} `json:"spec"`
	Status struct {
		Conditions []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// Active tells that it has not been put aside.
func (p Progress) Active() bool { return p.Spec.Active == nil || *p.Spec.Active }

// Is tells whether one of some conditions is true.
func (p Progress) Is(conditions ...string) bool {
	for _, condition := range conditions {
		if meta.IsStatusConditionTrue(p.Status.Conditions, condition) {
			return true
		}
	}
	return false
}

// Workload is what is read of one.
type Workload struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Priority *int32 `json:"priority"`
		Queue    string `json:"queueName"`
		// Source, and Ref since v1beta2, say whose priority that is.
		Source string `json:"priorityClassSource"`
		Ref    struct {
			Kind string `json:"kind"`
		} `json:"priorityClassRef"`
		PodSets []PodSet `json:"podSets"`
	} `json:"spec"`
	Status struct {
		AdmissionChecks []Check `json:"admissionChecks"`
		Admission       struct {
			Assignments []struct {
				Name  string `json:"name"`
				Count *int64 `json:"count"`
			} `json:"podSetAssignments"`
		} `json:"admission"`
	} `json:"status"`
}

// PodSet are pods alike.
type PodSet struct {
	Name     string                 `json:"name"`
	Count    int64                  `json:"count"`
	Template corev1.PodTemplateSpec `json:"template"`
	Topology *TopologyRequest       `json:"topologyRequest"`
}

// TopologyRequest is where the pods of a set are to run.
type TopologyRequest struct {
	Required  *string `json:"required"`
	Preferred *string `json:"preferred"`
	// SliceRequired asks for parts of the set to run together, each within one domain.
	SliceRequired *string `json:"podSetSliceRequiredTopology"`
}

// Check is one that must pass before the Workload is admitted.
type Check struct {
	Name string `json:"name"`
}

// ProgressOf is how far a Workload is; that of one which has not begun where its version says it elsewhere.
func ProgressOf(item *unstructured.Unstructured) (p Progress) {
	if runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &p) != nil {
		return Progress{}
	}
	return p
}

// Read is a Workload; false where its version says it elsewhere.
func Read(item *unstructured.Unstructured) (w Workload, ok bool) {
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &w)
	return w, err == nil
}
