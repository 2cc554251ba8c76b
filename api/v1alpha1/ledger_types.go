package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Ledger holds what counts for the totals of one Namespace, of one node pool, or of the
// cluster: what is there, and what admission has let in. The webhook writes it, and nobody
// else should: an entry that is missing lets the sum pass its total.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=forewarm
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.data.holder.kind`
// +kubebuilder:printcolumn:name="Holder",type=string,JSONPath=`.data.holder.name`
// +kubebuilder:printcolumn:name="Complete",type=boolean,JSONPath=`.data.complete`
type Ledger struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Data LedgerData `json:"data"`
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
	// Entries are the objects that count, in the order of their names.
	// +listType=atomic
	// +optional
	Entries []LedgerEntry `json:"entries,omitempty"`
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

// LedgerEntry is what one object counts for.
type LedgerEntry struct {
	// Object is RESOURCE.GROUP/NAME, such as deployments.apps/web.
	Object string `json:"object"`
	// Replicas is what the object counts for in max-total-replicas.
	// +optional
	Replicas int64 `json:"replicas,omitempty"`
	// GPUs is what the object counts for in max-gpus.
	// +optional
	GPUs int64 `json:"gpus,omitempty"`
	// Nodes is what the object counts for in max-nodes.
	// +optional
	Nodes int64 `json:"nodes,omitempty"`
	// Version is the resourceVersion that was counted, or that an update was let in upon; of a
	// create, that of the ledger.
	// +optional
	Version string `json:"version,omitempty"`
	// Coming is what was let in and may still be stored.
	// +kubebuilder:validation:Enum=Create;Update;Several
	// +optional
	Coming string `json:"coming,omitempty"`
	// LetIn is when that was, the last time.
	// +optional
	LetIn *metav1.MicroTime `json:"letIn,omitempty"`
}
