package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Ledger holds what counts for the totals of one Namespace, of one node pool, or of the
// cluster: the sum of what is there, and what admission has let in since. The webhook writes it,
// and nobody else should: an entry that is missing lets the sum pass its total.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=forewarm
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.data.holder.kind`
// +kubebuilder:printcolumn:name="Holder",type=string,JSONPath=`.data.holder.name`
// +kubebuilder:printcolumn:name="Complete",type=boolean,JSONPath=`.data.complete`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.data.standing.replicas`
// +kubebuilder:printcolumn:name="GPUs",type=integer,JSONPath=`.data.standing.gpus`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.data.standing.nodes`
// +kubebuilder:printcolumn:name="Above",type=string,JSONPath=`.status.conditions[?(@.type=="AboveCeiling")].status`
type Ledger struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Data LedgerData `json:"data"`
	// Status says how what stands compares with the totals.
	// +optional
	Status LedgerStatus `json:"status,omitzero"`
}

// LedgerList is a list of Ledger objects.
//
// +kubebuilder:object:root=true
type LedgerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Ledger `json:"items"`
}

// LedgerData is the content of a Ledger.
type LedgerData struct {
	// Holder carries the annotations that set the totals.
	Holder LedgerHolder `json:"holder"`
	// Complete is true once everything that is there has been counted; until then the totals
	// refuse nothing.
	// +optional
	Complete bool `json:"complete,omitempty"`
	// Standing is the sum of what was there when the leading webhook replica last looked.
	// +optional
	Standing LedgerAmounts `json:"standing,omitzero"`
	// UpTo is the latest resourceVersion of an object that counts in Standing, by resource. A replica
	// that has seen less does not write what it sees.
	// +optional
	UpTo map[string]string `json:"upTo,omitempty"`
	// Entries are the objects of which something that was let in may still be stored, in the order
	// of their names.
	// +listType=atomic
	// +optional
	Entries []LedgerEntry `json:"entries,omitempty"`
}

// LedgerAmounts are what counts for totals.
type LedgerAmounts struct {
	// Replicas count in max-total-replicas.
	// +optional
	Replicas int64 `json:"replicas,omitempty"`
	// GPUs count in max-gpus.
	// +optional
	GPUs int64 `json:"gpus,omitempty"`
	// Nodes count in max-nodes.
	// +optional
	Nodes int64 `json:"nodes,omitempty"`
}

// LedgerHolder names the object that carries the annotations. Those of the Namespace
// kube-system about nodes are the cluster's.
type LedgerHolder struct {
	// +kubebuilder:validation:Enum=Namespace;NodePool;Cluster
	Kind string `json:"kind"`
	// Name is empty for the cluster.
	// +optional
	Name string `json:"name,omitempty"`
}

// LedgerEntry is what one object counts for while something of it is coming.
type LedgerEntry struct {
	// Object is RESOURCE.GROUP/NAME, such as deployments.apps/web.
	Object string `json:"object"`
	// The most that there is or may be of the object.
	LedgerAmounts `json:",inline"`
	// Standing is what the Ledger's Standing has of the object at least; the entry adds the rest.
	// +optional
	Standing LedgerAmounts `json:"standing,omitzero"`
	// Version is the resourceVersion that an update was let in upon; of a create, that of the Ledger.
	// +optional
	Version string `json:"version,omitempty"`
	// Coming is what was let in and may still be stored.
	// +kubebuilder:validation:Enum=Create;Update;Several
	Coming string `json:"coming"`
	// LetIn is when that was, the last time.
	LetIn metav1.MicroTime `json:"letIn"`
}

// LedgerStatus says how what stands compares with the totals.
type LedgerStatus struct {
	// Conditions has AboveCeiling: whether more stands than a total allows, as after a time in which no
	// webhook answered. Its message names the numbers and what sets the total.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
