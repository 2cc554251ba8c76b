package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DemandHistory is the recorded demand of one chunk of one WarmPool on one UTC day.
// The reserver writes it; today's is the only one that changes.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=dh,categories=forewarm
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.data.pool`
// +kubebuilder:printcolumn:name="Chunk",type=string,JSONPath=`.data.chunk`
// +kubebuilder:printcolumn:name="Day",type=string,JSONPath=`.data.day`
// +kubebuilder:printcolumn:name="Samples",type=integer,JSONPath=`.data.samples`
type DemandHistory struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Data DemandHistoryData `json:"data"`
}

// DemandHistoryList is a list of DemandHistory objects.
//
// +kubebuilder:object:root=true
type DemandHistoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DemandHistory `json:"items"`
}

// DemandHistoryData is one day of samples.
type DemandHistoryData struct {
	// SchemaVersion is the version of the encoding of Samples; 1 is Prometheus' XOR chunk encoding.
	// +kubebuilder:validation:Minimum=1
	SchemaVersion int32 `json:"schemaVersion"`
	// Pool and Chunk name what was recorded.
	Pool string `json:"pool"`
	// Chunk is the chunk's name.
	Chunk string `json:"chunk"`
	// Day is the UTC day, as 2026-11-24.
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`
	Day string `json:"day"`
	// Samples is the number of samples encoded.
	Samples int32 `json:"samples"`
	// Encoded holds the samples: time in Unix milliseconds, demand in chunks.
	// +optional
	Encoded [][]byte `json:"encoded,omitempty"`
}
