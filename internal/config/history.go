package config

import (
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// HistorySource says where recorded demand is read from.
type HistorySource string

// Sources of recorded demand.
const (
	// Objects are DemandHistory objects in the API server, which the reserver writes.
	Objects HistorySource = "Objects"
	// Prometheus is a server that scrapes the reserver's metrics.
	Prometheus HistorySource = "Prometheus"
)

// History says where recorded demand is read from.
type History struct {
	// Source is Objects or Prometheus.
	Source HistorySource `json:"source"`
	// Prometheus is for that source.
	Prometheus PrometheusHistory `json:"prometheus"`
}

// PrometheusHistory is a server with Prometheus' HTTP API: Prometheus, Thanos, Mimir or
// VictoriaMetrics.
type PrometheusHistory struct {
	// URL is the root of the API, such as http://prometheus.monitoring:9090.
	URL string `json:"url"`
	// Query is PromQL for the demand of one chunk in chunks, as one series; $pool and $chunk are
	// the names, $step is the interval of the pool.
	Query string `json:"query"`
	// BearerTokenFile holds a token to send; it is read again when it changes.
	BearerTokenFile string `json:"bearerTokenFile,omitempty"`
	// CAFile holds the certificates that the server's is checked against; empty means the system's.
	CAFile string `json:"caFile,omitempty"`
	// Tenant is sent as X-Scope-OrgID, which Mimir and Thanos tell tenants apart by.
	Tenant string `json:"tenant,omitempty"`
	// MaxInFlight bounds the queries at a time.
	MaxInFlight int `json:"maxInFlight"`
	// Timeout bounds one query.
	Timeout metav1.Duration `json:"timeout"`
}

func defaultHistory() History {
	return History{
		Source: Objects,
		Prometheus: PrometheusHistory{
			Query:       `max(max_over_time(forewarm_capacity_demand_chunks{pool="$pool",chunk="$chunk"}[$step]))`,
			MaxInFlight: 4,
			Timeout:     metav1.Duration{Duration: 10 * time.Second},
		},
	}
}

func (h History) validate(path *field.Path) field.ErrorList {
	switch h.Source {
	case Objects:
		if h.Prometheus.URL != "" {
			return field.ErrorList{field.Invalid(path.Child("source"), h.Source, "write Prometheus, since prometheus.url is set, or remove the url")}
		}
		return nil
	case Prometheus:
		return h.Prometheus.validate(path.Child("prometheus"))
	default:
		return field.ErrorList{field.NotSupported(path.Child("source"), h.Source, []HistorySource{Objects, Prometheus})}
	}
}

func (p PrometheusHistory) validate(path *field.Path) field.ErrorList {
	errs := validateRoot(path.Child("url"), p.URL, p.BearerTokenFile, "http://prometheus.monitoring:9090")
	for _, name := range []string{"$pool", "$chunk"} {
		if !strings.Contains(p.Query, name) {
			errs = append(errs, field.Invalid(path.Child("query"), p.Query, "write PromQL that holds "+name+": without it every chunk would get the same history"))
		}
	}
	if p.MaxInFlight < 1 || p.MaxInFlight > 64 {
		errs = append(errs, field.Invalid(path.Child("maxInFlight"), p.MaxInFlight, "write a number from 1 to 64"))
	}
	if p.Timeout.Duration < time.Second || p.Timeout.Duration > 2*time.Minute {
		errs = append(errs, field.Invalid(path.Child("timeout"), p.Timeout.Duration.String(), "write a duration from 1s to 2m"))
	}
	return errs
}

// validateRoot holds the root of an API to a URL to which credentials may be sent.
func validateRoot(path *field.Path, root, bearerTokenFile, example string) field.ErrorList {
	remedy := "write the root of the API, such as " + example
	u, err := url.Parse(root)
	switch {
	case err != nil: // what cannot be read may hold a password
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, remedy)}
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return field.ErrorList{field.Invalid(path, u.Redacted(), remedy)}
	case u.User != nil, bearerTokenFile != "" && u.Scheme != "https":
		return field.ErrorList{field.Invalid(path, u.Redacted(), "write an https URL without a password, so that credentials stay secret: a token goes into bearerTokenFile")}
	default:
		return nil
	}
}
