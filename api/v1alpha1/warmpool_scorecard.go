package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ScorecardStatus says what would have happened had a pool acted that only observes. Numbers are decimal.
type ScorecardStatus struct {
	// At is until when it is counted.
	At metav1.Time `json:"at"`
	// Day and Week are the last 24 hours, and the last 7 days of UTC, the current ones included.
	Day  Score `json:"day"`
	Week Score `json:"week"`
	// Hours and Days are what they are made of, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=24
	Hours []Score `json:"hours,omitempty"`
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=7
	Days []Score `json:"days,omitempty"`
	// Chunks are the placeholders that would stand: what the next plan goes on from.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Chunks []ScorecardChunk `json:"chunks,omitempty"`
}

// Score is what would have happened from a time on. Amounts are in units of the pool's resource.
type Score struct {
	// Since is when its time begins.
	Since metav1.Time `json:"since"`
	// Arrived is the demand that arrived.
	Arrived string `json:"arrived"`
	// Free is how much of that found free room on nodes in use, which nobody keeps.
	Free string `json:"free"`
	// Warm is how much more of it placeholders would have held capacity for.
	Warm string `json:"warm"`
	// WaitsAvoided is the number of waits for a node that would have been avoided, in chunks, and
	// WaitHoursAvoided how long they are in all, by the lead time.
	WaitsAvoided     string `json:"waitsAvoided"`
	WaitHoursAvoided string `json:"waitHoursAvoided"`
	// IdleHours are the hours for which placeholders would have held a unit, and IdleCost what these cost.
	IdleHours string `json:"idleHours"`
	IdleCost  string `json:"idleCost"`
}

// ScorecardChunk is what would stand of one chunk, in chunks.
type ScorecardChunk struct {
	// Name is the chunk's name.
	Name string `json:"name"`
	// Demand and Free are what the last plan saw of real pods, and of room beside them.
	Demand string `json:"demand"`
	Free   string `json:"free"`
	// Warm is how many placeholders would hold capacity.
	Warm string `json:"warm"`
	// Coming are those that would wait for a node, by when it would be there.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Coming []ScorecardBatch `json:"coming,omitempty"`
	// Wanted are the numbers that were wanted within the hold time and not exceeded since, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Wanted []ScorecardBatch `json:"wanted,omitempty"`
}

// ScorecardBatch is a number of chunks at a time.
type ScorecardBatch struct {
	At    metav1.Time `json:"at"`
	Count string      `json:"count"`
}
