package config

import (
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Showback says whom idle capacity and avoided waits are told of.
type Showback struct {
	// OwnerLabel is the label of Namespaces whose value is the owner in metrics, such as team; empty
	// for the name of the Namespace.
	OwnerLabel string `json:"ownerLabel,omitempty"`
	// MaxOwners bounds the owners per pool; those that come later are told of together.
	MaxOwners int `json:"maxOwners"`
}

func (s Showback) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.OwnerLabel != "" {
		for _, problem := range content.IsLabelKey(s.OwnerLabel) {
			errs = append(errs, field.Invalid(path.Child("ownerLabel"), s.OwnerLabel, problem))
		}
	}
	if s.MaxOwners < 1 || s.MaxOwners > 1000 {
		errs = append(errs, field.Invalid(path.Child("maxOwners"), s.MaxOwners, "write a number from 1 to 1000"))
	}
	return errs
}
