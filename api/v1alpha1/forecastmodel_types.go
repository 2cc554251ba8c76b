package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ForecastModel holds the versions by which the demand of one chunk of one WarmPool has been
// forecast. The reserver writes its status; admins may set spec.version to go back to one.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=fm,categories=forewarm
// +kubebuilder:printcolumn:name="Champion",type=integer,JSONPath=`.status.champion`
// +kubebuilder:printcolumn:name="Pinned",type=integer,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Degraded",type=boolean,JSONPath=`.status.degraded`
// +kubebuilder:printcolumn:name="Retrained",type=date,JSONPath=`.status.retrained`
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.version) || (has(self.status) && has(self.status.versions) && self.status.versions.exists(v, v.number == self.spec.version))",message="spec.version must be the number of one of status.versions; remove it to use the champion"
type ForecastModel struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ForecastModelSpec   `json:"spec,omitempty"`
	Status ForecastModelStatus `json:"status,omitempty"`
}

// ForecastModelList is a list of ForecastModels.
//
// +kubebuilder:object:root=true
type ForecastModelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ForecastModel `json:"items"`
}

// ForecastModelSpec is what admins want.
type ForecastModelSpec struct {
	// Version, if set, is the number of the version to forecast by from the next cycle on. Nothing is
	// promoted or rolled back meanwhile.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Version int64 `json:"version,omitempty"`
}

// ForecastModelStatus is what the reserver found.
type ForecastModelStatus struct {
	// Champion is the number of the version in use while spec.version is not set.
	// +optional
	Champion int64 `json:"champion,omitempty"`
	// Previous is the version before the champion, while it is not yet decided whether to go back to it.
	// +optional
	Previous int64 `json:"previous,omitempty"`
	// Retrained is when challengers were last tried.
	// +optional
	Retrained *metav1.Time `json:"retrained,omitempty"`
	// Degraded says that the error over the last day is too high for the champion's score.
	// +optional
	Degraded bool `json:"degraded,omitempty"`
	// Versions are in the order of their numbers. The oldest are dropped.
	// +optional
	// +listType=map
	// +listMapKey=number
	// +kubebuilder:validation:MaxItems=20
	Versions []ForecastVersion `json:"versions,omitempty"`
}

// ForecastVersion is one set of settings that was tried. Decimal numbers are strings.
type ForecastVersion struct {
	// Number counts from 1.
	// +kubebuilder:validation:Minimum=1
	Number int64 `json:"number"`
	// Model is Auto or Combined.
	Model string `json:"model"`
	// Window is how much of the history is learned from; all without it.
	// +optional
	Window *metav1.Duration `json:"window,omitempty"`
	// Seasons are the season lengths that are used; without any they are found in the window.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	Seasons []metav1.Duration `json:"seasons,omitempty"`
	// Trained is when it was tried, on the history from From to To.
	Trained metav1.Time `json:"trained"`
	// +optional
	From *metav1.Time `json:"from,omitempty"`
	// +optional
	To *metav1.Time `json:"to,omitempty"`
	// Score is how it did then; that of a champion is of its last trial.
	// +optional
	Score *ForecastScore `json:"score,omitempty"`
	// Against is the champion that it met.
	// +optional
	Against int64 `json:"against,omitempty"`
	// Better is by how much less its error was than the champion's, as a share.
	// +optional
	Better string `json:"better,omitempty"`
	// Probability is how sure that is.
	// +optional
	Probability string `json:"probability,omitempty"`
	// Outcome is First, Promoted, Rejected or RolledBack.
	Outcome string `json:"outcome"`
	// Reason says why, in one word.
	Reason string `json:"reason"`
}

// ForecastScore is how a version did at the origins of the last seven days, as decimal numbers.
type ForecastScore struct {
	// Loss is the mean quantile loss as a share of the mean demand.
	Loss string `json:"loss"`
	// Coverage is the share of values within the band from 0.1 to 0.9.
	Coverage string `json:"coverage"`
	// Origins is the number of origins.
	Origins int32 `json:"origins"`
}
