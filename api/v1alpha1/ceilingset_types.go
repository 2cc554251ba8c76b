package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CeilingSetName is the name of the CeilingSet of every namespace that has one.
const CeilingSetName = "forewarm"

// LabelCeilings marks a Namespace that has a CeilingSet: there growth is refused while the
// CeilingSet is missing.
const LabelCeilings = "forewarm.dev/ceilings"

// CeilingSet holds the ceilings of one namespace in a form that the API server's own admission
// policies read, so that they hold while no webhook answers. Forewarm writes it; a person has no
// reason to.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=forewarm
type CeilingSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec CeilingSetSpec `json:"spec"`
}

// CeilingSetList is a list of CeilingSet objects.
//
// +kubebuilder:object:root=true
type CeilingSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []CeilingSet `json:"items"`
}

// CeilingSetSpec are ceilings in replicas.
type CeilingSetSpec struct {
	// MaxReplicas is the last well-formed ceiling of each workload of the Namespace.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxReplicas *int64 `json:"maxReplicas,omitempty"`
	// Named are the ceilings that the Namespace gives to single workloads, by resource.group/name,
	// such as deployments.apps/web.
	// +optional
	Named map[string]int64 `json:"named,omitempty"`
	// Own are the ceilings that workloads carry themselves, by the same names. They are read where
	// only the scale is written, which does not carry them.
	// +optional
	Own map[string]int64 `json:"own,omitempty"`
	// Overrides replace all ceilings of a workload, by the same names. One that has ended is not here.
	// +optional
	Overrides map[string]int64 `json:"overrides,omitempty"`
	// Ahead are the workloads of which Own or Overrides is that of a raise which admission has just let
	// in, and until when it stands here if it is not stored, by the same names.
	// +optional
	Ahead map[string]metav1.Time `json:"ahead,omitempty"`
}
