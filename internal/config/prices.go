package config

import (
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Prices says where prices of nodes are read from: the file first, then OpenCost.
type Prices struct {
	// File is the path of a file of prices, as YAML or JSON; empty for none. It is read again when it changes.
	File string `json:"file,omitempty"`
	// OpenCost is a server to ask; absent for none.
	OpenCost *OpenCost `json:"openCost,omitempty"`
}

// OpenCost is a server with OpenCost's HTTP API: OpenCost, or Kubecost.
type OpenCost struct {
	// URL is the root of the API, such as http://opencost.opencost:9003; Kubecost's ends in /model.
	URL string `json:"url"`
	// BearerTokenFile holds a token to send; it is read again when it changes.
	BearerTokenFile string `json:"bearerTokenFile,omitempty"`
	// CAFile holds the certificates that the server's is checked against; empty means the system's.
	CAFile string `json:"caFile,omitempty"`
	// Timeout bounds one request, 30s if it is not given.
	Timeout metav1.Duration `json:"timeout"`
}

// openCostTimeout is how long an answer may take that is computed from an hour of metrics.
const openCostTimeout = 30 * time.Second

func (p Prices) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.File != "" && !filepath.IsAbs(p.File) {
		errs = append(errs, field.Invalid(path.Child("file"), p.File, "write the absolute path of a file"))
	}
	if o := p.OpenCost; o != nil {
		at := path.Child("openCost")
		errs = append(errs, validateRoot(at.Child("url"), o.URL, o.BearerTokenFile, "http://opencost.opencost:9003")...)
		if o.Timeout.Duration == 0 {
			o.Timeout.Duration = openCostTimeout
		}
		if o.Timeout.Duration < time.Second || o.Timeout.Duration > 2*time.Minute {
			errs = append(errs, field.Invalid(at.Child("timeout"), o.Timeout.Duration.String(), "write a duration from 1s to 2m"))
		}
	}
	return errs
}
