package config

import (
	"path/filepath"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Stdout is where the log of decisions goes to the standard output.
const Stdout = "stdout"

// Decisions says where plans are kept, with all that they were made of.
type Decisions struct {
	// Keep is how many Decision objects are kept per pool: of plans that change something, or that want
	// something else than the one before. Zero keeps none.
	Keep int `json:"keep"`
	// Lines is where every plan is written as a line of JSON: stdout, or the path of a file, which is
	// appended to. Empty writes none.
	Lines string `json:"lines,omitempty"`
}

func (d Decisions) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if d.Keep < 0 || d.Keep > 2000 {
		errs = append(errs, field.Invalid(path.Child("keep"), d.Keep, "write a number from 0 to 2000"))
	}
	if d.Lines != "" && d.Lines != Stdout && !filepath.IsAbs(d.Lines) {
		errs = append(errs, field.Invalid(path.Child("lines"), d.Lines, "write stdout, or the absolute path of a file"))
	}
	return errs
}
