package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DemandEvent declares demand that no history tells of: a launch, an exam, a training week. Its pool
// has capacity for it ready when it starts, within all limits of the pool, and does not expect the like
// on other days because of it. Or it declares a freeze, in which nothing is deployed.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=de,categories=forewarm
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.spec.pool`
// +kubebuilder:printcolumn:name="Start",type=string,JSONPath=`.spec.start`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.spec.duration`
type DemandEvent struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec DemandEventSpec `json:"spec"`
}

// DemandEventList is a list of DemandEvents.
//
// +kubebuilder:object:root=true
type DemandEventList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DemandEvent `json:"items"`
}

// DemandEventSpec says how much demand is declared, where and when.
//
// +kubebuilder:validation:XValidation:rule="[has(self.percent), has(self.demand), has(self.freeze) && self.freeze].filter(x, x).size() == 1",message="spec: write one of percent, demand and freeze"
// +kubebuilder:validation:XValidation:rule="!has(self.demand) || has(self.chunk)",message="spec.demand is of one chunk: name it in spec.chunk"
type DemandEventSpec struct {
	// Pool is the name of the WarmPool.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Pool string `json:"pool"`
	// Chunk is the name of a chunk of the pool; empty for all, each by percent.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	Chunk string `json:"chunk,omitempty"`
	// Start is when the demand comes.
	Start metav1.Time `json:"start"`
	// Duration is how long it stays, up to 168h.
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s') && duration(self) <= duration('168h')",message="spec.duration must be more than 0s and at most 168h"
	Duration metav1.Duration `json:"duration"`
	// Percent is by how much the demand will be above what it is at the start: 300 for four times as much.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Percent *int32 `json:"percent,omitempty"`
	// Demand is how many chunks of demand there will be at least, running ones included.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Demand *int32 `json:"demand,omitempty"`
	// Freeze says that nothing is deployed: demand is expected to stay what it is at the start, and what
	// it is in the meantime tells nothing about other times.
	// +optional
	Freeze bool `json:"freeze,omitempty"`
}
