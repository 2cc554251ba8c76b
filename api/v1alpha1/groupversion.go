// Package v1alpha1 holds the API types of Forewarm, group forewarm.dev, with the
// condition and event reasons that they use.
//
// +kubebuilder:object:generate=true
// +groupName=forewarm.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: "forewarm.dev", Version: "v1alpha1"}

// AddToScheme registers the types of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &WarmPool{}, &WarmPoolList{}, &DemandHistory{}, &DemandHistoryList{}, &ForecastModel{}, &ForecastModelList{}, &CeilingSet{}, &CeilingSetList{}, &Ledger{}, &LedgerList{}, &CapacityPlan{}, &CapacityPlanList{}, &Decision{}, &DecisionList{}, &DemandEvent{}, &DemandEventList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
