package config

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// collectorAddress is where a collector beside the process listens, and maxSamplingRate everything.
const (
	collectorAddress = "http://localhost:4318"
	maxSamplingRate  = 1_000_000
)

// Tracing says where spans are sent, as the tracing section of Kubernetes' own components does, but over HTTP.
type Tracing struct {
	// Endpoint is the root of a collector's OTLP over HTTP, such as http://collector.observability:4318;
	// http://localhost:4318 if it is not given.
	Endpoint string `json:"endpoint,omitempty"`
	// SamplingRatePerMillion is how many of a million requests, or turns of a loop, are traced of which no
	// caller has decided whether they are. Without it none is, and only what a caller traces, as the API server
	// may its requests, is traced further.
	SamplingRatePerMillion *int32 `json:"samplingRatePerMillion,omitempty"`
}

func (t *Tracing) validate(path *field.Path) field.ErrorList {
	if t == nil {
		return nil
	}
	if t.Endpoint == "" {
		t.Endpoint = collectorAddress
	}
	errs := validateRoot(path.Child("endpoint"), t.Endpoint, "", collectorAddress)
	if rate := t.SamplingRatePerMillion; rate != nil && (*rate < 0 || *rate > maxSamplingRate) {
		errs = append(errs, field.Invalid(path.Child("samplingRatePerMillion"), *rate, "write a number from 0 to 1000000"))
	}
	return errs
}
