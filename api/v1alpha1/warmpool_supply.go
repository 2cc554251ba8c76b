package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SupplyClosed is the state of a breaker that lets all that is wanted be asked for.
const SupplyClosed = "Closed"

// SupplyStatus says whether a pool gets nodes.
type SupplyStatus struct {
	// State is Closed (it does), Open (it does not, and is not asked) or HalfOpen (one is tried).
	State string `json:"state"`
	// Since is when it came into this state.
	Since metav1.Time `json:"since"`
	// Trips is how often in a row it has got none.
	// +optional
	Trips int32 `json:"trips,omitempty"`
	// RetryAt is when one is tried.
	// +optional
	RetryAt *metav1.Time `json:"retryAt,omitempty"`
	// Message is what the autoscaler says of it.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// Diverted are the placeholders that other pools are turned to for.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Diverted []DivertedChunk `json:"diverted,omitempty"`
}

// DivertedChunk is what another pool keeps for this one.
type DivertedChunk struct {
	// Chunk is the chunk's name, Count how many of it are missing.
	Chunk string `json:"chunk"`
	Count int32  `json:"count"`
	// Pool is the other WarmPool, Into the name of its chunk, As how many of that stand for them.
	Pool string `json:"pool"`
	Into string `json:"into"`
	As   int32  `json:"as"`
}
