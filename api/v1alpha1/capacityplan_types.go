package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CapacityPlan is a growth of a WarmPool that waits for somebody's approval, or has it: until then its
// placeholders stand gated, and no node is bought. The reserver makes it; whoever has the verb approve
// on it sets spec.approval.by, or spec.rejection.by, to his own name, which admission holds him to.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=cplan,categories=forewarm
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.spec.pool`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.spec.nodes`
// +kubebuilder:printcolumn:name="Cost per hour",type=string,JSONPath=`.spec.costPerHour`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Approved by",type=string,JSONPath=`.spec.approval.by`
// +kubebuilder:printcolumn:name="Rejected by",type=string,JSONPath=`.spec.rejection.by`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expires`
type CapacityPlan struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec CapacityPlanSpec `json:"spec"`
}

// CapacityPlanList is a list of CapacityPlans.
//
// +kubebuilder:object:root=true
type CapacityPlanList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []CapacityPlan `json:"items"`
}

// CapacityPlanSpec is what is asked for. Only an approval or a rejection can be added, once.
//
// +kubebuilder:validation:XValidation:rule="self.pool == oldSelf.pool && self.chunks == oldSelf.chunks && self.nodes == oldSelf.nodes && self.costPerHour == oldSelf.costPerHour && self.reason == oldSelf.reason && self.requester == oldSelf.requester && self.expires == oldSelf.expires",message="a CapacityPlan cannot be changed, only approved: delete it to have the reserver propose anew"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.approval) || (has(self.approval) && self.approval == oldSelf.approval)",message="spec.approval cannot be changed: delete the CapacityPlan to withdraw it"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.rejection) || (has(self.rejection) && self.rejection == oldSelf.rejection)",message="spec.rejection cannot be changed: delete the CapacityPlan to have the reserver propose anew"
type CapacityPlanSpec struct {
	// Pool is the WarmPool's name.
	// +kubebuilder:validation:MaxLength=63
	Pool string `json:"pool"`
	// Chunks are those of which more is wanted.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Chunks []PlannedChunk `json:"chunks"`
	// Nodes is how many nodes it asks for, at most.
	Nodes int32 `json:"nodes"`
	// CostPerHour is what the added placeholders cost per hour while they idle, as a decimal number.
	// +kubebuilder:validation:MaxLength=32
	CostPerHour string `json:"costPerHour"`
	// Reason says why, in one line.
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason"`
	// Requester is who made it, and who may therefore not approve it.
	// +kubebuilder:validation:MaxLength=256
	Requester string `json:"requester"`
	// Expires is when it ends: without an approval it is withdrawn, with one nothing more is ungated by it.
	Expires metav1.Time `json:"expires"`
	// Approval, once set, lets the placeholders be ungated.
	// +optional
	Approval *Approval `json:"approval,omitempty"`
	// Rejection, once set, keeps the reserver from proposing as much again before Expires.
	// +optional
	Rejection *Rejection `json:"rejection,omitempty"`
}

// PlannedChunk is what is wanted of one chunk.
type PlannedChunk struct {
	// Name is the chunk's name.
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// Ungated is how many placeholders may stand ungated, those that stand already included.
	Ungated int32 `json:"ungated"`
	// More is how many more these are than stood when it was made.
	More int32 `json:"more"`
}

// Approval is somebody's yes.
type Approval struct {
	// By is the user name of the one who approves, as the API server knows it; admission refuses any other.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by"`
}

// Rejection is somebody's no.
type Rejection struct {
	// By is the user name of the one who rejects, as the API server knows it; admission refuses any other.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by"`
}
