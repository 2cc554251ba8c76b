package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Decision is one plan of a WarmPool, with all that it was made of, so that it can be made again:
// forewarmctl replay NAME. The reserver keeps the last ones of each pool.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=dec,categories=forewarm
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.spec.pool`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Create",type=integer,JSONPath=`.spec.create`
// +kubebuilder:printcolumn:name="Ungate",type=integer,JSONPath=`.spec.ungate`
// +kubebuilder:printcolumn:name="Delete",type=integer,JSONPath=`.spec.delete`
// +kubebuilder:printcolumn:name="Applied",type=boolean,JSONPath=`.spec.applied`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="At",type=string,JSONPath=`.spec.at`
type Decision struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec DecisionSpec `json:"spec"`
}

// DecisionList is a list of Decisions.
//
// +kubebuilder:object:root=true
type DecisionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Decision `json:"items"`
}

// DecisionSpec is what was decided, and why. It is there before it is acted upon.
//
// +kubebuilder:validation:XValidation:rule="has(self.reason) == has(oldSelf.reason)",message="a Decision cannot be changed"
// +kubebuilder:validation:XValidation:rule="has(self.error) == has(oldSelf.error) || has(self.error) && !oldSelf.applied",message="what became of a Decision is told once"
type DecisionSpec struct {
	// Pool is the WarmPool's name, Mode its mode then.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	Pool string `json:"pool"`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	Mode Mode `json:"mode"`
	// At is when it was decided.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	At metav1.MicroTime `json:"at"`
	// Create, Ungate and Delete are numbers of placeholder pods.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	Create int32 `json:"create"`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	Ungate int32 `json:"ungate"`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	Delete int32 `json:"delete"`
	// Applied is false in mode Observe, when applying failed, where Error says how it did, and while
	// what was decided is being done: for good if the reserver ended meanwhile.
	// +kubebuilder:validation:XValidation:rule="self || !oldSelf",message="what became of a Decision is told once"
	Applied bool `json:"applied"`
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="what became of a Decision is told once"
	Error string `json:"error,omitempty"`
	// Reason says why, in one line.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	Reason string `json:"reason,omitempty"`
	// Chunks are what was known and wanted of each.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	Chunks []DecidedChunk `json:"chunks"`
	// Digest is the SHA-256 of the input, in hexadecimal digits.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Decision cannot be changed"
	Digest string `json:"digest"`
	// Input and Result are the plan's, as gzipped JSON. Absent where they are too large to keep.
	// No rule reads them, since API servers cannot decode bytes for one: Digest holds the input.
	// +optional
	Input []byte `json:"input,omitempty"`
	// +optional
	Result []byte `json:"result,omitempty"`
}

// DecidedChunk is what was known and wanted of one chunk. Decimal numbers are in chunks.
type DecidedChunk struct {
	// Name is the chunk's name.
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// Demand is that of real pods, Level the forecast at the quantile that the costs ask for.
	Demand string `json:"demand"`
	Level  string `json:"level"`
	// Source and Version say what made the forecast, Policy how the need was estimated.
	Source string `json:"source"`
	// +optional
	Version int64  `json:"version,omitempty"`
	Policy  string `json:"policy"`
	// Wanted is how many ungated placeholders, and Reason why.
	Wanted int32  `json:"wanted"`
	Reason string `json:"reason"`
	// Limited is how many more would be wanted without limits, LimitedBy are those that bit.
	// +optional
	Limited int32 `json:"limited,omitempty"`
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	LimitedBy []string `json:"limitedBy,omitempty"`
}
