package config

import (
	"path/filepath"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Calls says where signed calls that declare demand are answered.
type Calls struct {
	// Address is where they are answered, host:port, over plain HTTP: they are signed, and hold no secret.
	Address string `json:"address"`
	// SecretFile holds what they are signed with, one secret of at least 32 characters a line. It is read with
	// each call.
	SecretFile string `json:"secretFile"`
}

func (c *Calls) validate(path *field.Path) field.ErrorList {
	if c == nil {
		return nil
	}
	errs := address(path.Child("address"), c.Address)
	if !filepath.IsAbs(c.SecretFile) {
		errs = append(errs, field.Invalid(path.Child("secretFile"), c.SecretFile, "write the absolute path of a file with a secret a line"))
	}
	return errs
}
