// Package config is the configuration file of Forewarm's processes: one strictly decoded
// YAML kind with a section per process. Flags say where things are; this says how they
// behave. What cluster users change is in WarmPool objects and annotations instead.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Version and kind that a configuration file must carry.
const (
	APIVersion = "config.forewarm.dev/v1alpha1"
	Kind       = "Config"
)

// Config is the configuration file.
type Config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`

	Webhook  Webhook  `json:"webhook"`
	Extender Extender `json:"extender"`
	Reserver Reserver `json:"reserver"`
	Console  Console  `json:"console"`
}

// Process is what every process has.
type Process struct {
	// MetricsAddress is where /metrics is served, host:port.
	MetricsAddress string `json:"metricsAddress"`
	// HealthAddress is where /healthz and /readyz are served, host:port.
	HealthAddress string `json:"healthAddress"`
}

// Webhook configures cmd/webhook.
type Webhook struct {
	Process `json:",inline"`
	// Address is where admission requests are served over TLS, host:port.
	Address string `json:"address"`
	// URL is how the API server reaches the webhook, as https://host:port; empty means through Service.
	URL string `json:"url,omitempty"`
	// Service is the name of the Service in Namespace that leads to the webhook.
	Service string `json:"service"`
	// Namespace is Forewarm's own namespace, which admission leaves alone.
	Namespace string `json:"namespace"`
	// DrainSeconds is how long requests are still served after SIGTERM, while readiness is already false.
	DrainSeconds int `json:"drainSeconds"`
	// Certificate says where the serving certificate comes from.
	Certificate Certificate `json:"certificate"`
	// ClientCA says who may ask for reviews; absent means everybody who reaches Address.
	ClientCA *ClientCA `json:"clientCA,omitempty"`
	// Autoscalers are the users whose writes of /scale are brought under the ceiling instead of
	// being refused.
	Autoscalers []string `json:"autoscalers"`
	// MarkClaims has pods that get their GPUs by resource claims alone ask for forewarm.dev/managed in
	// quantity zero, so that a scheduler which lists that name asks the extender about them. Of no use
	// without the extender, hence false unless set.
	MarkClaims bool `json:"markClaims,omitempty"`
	// Kinds are further kinds whose counts are held to the ceilings, beside the built-in ones.
	Kinds []WebhookKind `json:"kinds,omitempty"`
	// Tracing says where spans of reviews are sent; absent for nowhere.
	Tracing *Tracing `json:"tracing,omitempty"`
}

// WebhookKind says where the objects of one kind ask for replicas or nodes.
type WebhookKind struct {
	// Group, Version and Resource are those of its API, as kubectl api-resources lists them; the group of the
	// core is empty.
	Group    string `json:"group"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
	// Kind is how messages and forewarm.dev/workload-max-replicas name it.
	Kind string `json:"kind"`
	// Cluster is true for a kind without a namespace.
	Cluster bool `json:"cluster,omitempty"`
	// Measure is replicas (the default) or nodes.
	Measure string `json:"measure,omitempty"`
	// Controls is true for a kind whose objects own others that count, as an operator's own its StatefulSets: those
	// then count in its place no more, and follow it above a ceiling that it stands above already.
	Controls bool `json:"controls,omitempty"`
	// Count is where the number stands, such as spec.replicas=1; docs/ceilings.md has the grammar.
	Count string `json:"count"`
}

// Extender configures cmd/extender.
type Extender struct {
	Process `json:",inline"`
	// Address is where the scheduler's calls are served, host:port: over plain HTTP on loopback only,
	// over TLS with ClientCA anywhere.
	Address string `json:"address"`
	// Deadline is how long one call may take, below the scheduler's httpTimeout.
	Deadline metav1.Duration `json:"deadline"`
	// Undecided says what is answered while nothing can be decided (not synced yet, or too late): Pass
	// (the default) passes everything, Error leaves it to the scheduler's "ignorable".
	Undecided string `json:"undecided"`
	// SchedulerLease is the Lease of the scheduler's leader election as NAMESPACE/NAME; empty for a
	// scheduler without one. While nobody holds it, no room is made ahead.
	SchedulerLease string `json:"schedulerLease"`
	// DrainSeconds is how long calls are still served after SIGTERM, while readiness is already false.
	DrainSeconds int `json:"drainSeconds"`
	// ClearAhead has room made for pods before the scheduler tries them, which it takes
	// longer over. It needs an address on loopback, and does nothing elsewhere.
	ClearAhead bool `json:"clearAhead"`
	// Serving is the certificate to serve TLS with; absent means plain HTTP.
	Serving *Serving `json:"serving,omitempty"`
	// ClientCA says whose client certificates are accepted; it needs Serving.
	ClientCA *ClientCA `json:"clientCA,omitempty"`
	// Tracing says where spans of the scheduler's calls are sent; absent for nowhere.
	Tracing *Tracing `json:"tracing,omitempty"`
}

// What an extender answers while nothing can be decided.
const (
	UndecidedPass  = "Pass"
	UndecidedError = "Error"
)

// Serving is a serving certificate that others write. Its files are read again when they change.
type Serving struct {
	// CertFile and KeyFile hold the certificate with its intermediates, and its key, as PEM.
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
}

// Reserver configures cmd/reserver.
type Reserver struct {
	Process `json:",inline"`
	// Namespace is where the leader election Lease lives.
	Namespace string `json:"namespace"`
	// PlaceholderNamespace is where the placeholder pods live.
	PlaceholderNamespace string `json:"placeholderNamespace"`
	// PlaceholderImage is the image of the placeholder pods.
	PlaceholderImage string `json:"placeholderImage"`
	// Priority is the value of the PriorityClass of the placeholder pods.
	Priority int32 `json:"priority"`
	// MaxChangesPerPlan bounds the creates, ungates and deletes, each, of one plan.
	MaxChangesPerPlan int `json:"maxChangesPerPlan"`
	// History says where recorded demand is read from.
	History History `json:"history"`
	// Decisions says where plans are kept.
	Decisions Decisions `json:"decisions"`
	// Prices says where prices of nodes are read from, beside their annotation forewarm.dev/price-per-hour.
	Prices Prices `json:"prices"`
	// Calls says where demand is declared by signed HTTP calls; absent for nowhere.
	Calls *Calls `json:"calls,omitempty"`
	// Showback says whom idle capacity and avoided waits are told of.
	Showback Showback `json:"showback"`
	// Tracing says where spans of the loop are sent; absent for nowhere.
	Tracing *Tracing `json:"tracing,omitempty"`
}

// Default is the configuration that an empty file means.
func Default() Config {
	return Config{
		APIVersion: APIVersion,
		Kind:       Kind,
		Webhook: Webhook{
			Process:      Process{MetricsAddress: ":8080", HealthAddress: ":8081"},
			Address:      ":9443",
			Service:      "forewarm-webhook",
			Namespace:    "forewarm-system",
			DrainSeconds: 10,
			Certificate:  Certificate{Mode: SelfManaged},
			Autoscalers: []string{
				"system:serviceaccount:kube-system:horizontal-pod-autoscaler",
				"system:kube-controller-manager", // the HPA controller without credentials of its own
				"system:serviceaccount:keda:keda-operator",
			},
		},
		Extender: Extender{
			Process:  Process{MetricsAddress: ":8082", HealthAddress: ":8083"},
			Address:  "127.0.0.1:8888",
			Deadline: metav1.Duration{Duration: 200 * time.Millisecond},

			Undecided: UndecidedPass, SchedulerLease: "kube-system/kube-scheduler", DrainSeconds: 2, ClearAhead: true,
		},
		Reserver: Reserver{
			Process:              Process{MetricsAddress: ":8084", HealthAddress: ":8085"},
			Namespace:            "forewarm-system",
			PlaceholderNamespace: "forewarm-placeholders",
			PlaceholderImage:     "registry.k8s.io/pause:3.10",
			Priority:             -10,
			MaxChangesPerPlan:    100,
			History:              defaultHistory(),
			Decisions:            Decisions{Keep: 200},
			Showback:             Showback{MaxOwners: 50},
		},
		Console: defaultConsole(),
	}
}

// Load reads the file at path over the defaults; an empty path means the defaults.
// The error names the file and the fields that are wrong.
func Load(path string) (Config, error) {
	c := Default()
	if path == "" {
		return c, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read configuration: %w; give an existing file with --config", err)
	}
	if err := decode(data, &c); err != nil {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := c.Validate().ToAggregate(); err != nil {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// decode is strict: unknown and repeated fields are errors that carry the field's path.
func decode(data []byte, c *Config) error {
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return err
	}
	problems, err := json.UnmarshalStrict(asJSON, c)
	return errors.Join(append(problems, err)...)
}

// Validate returns what is wrong, each with its field path and what to write instead.
func (c Config) Validate() field.ErrorList {
	var errs field.ErrorList
	if c.APIVersion != APIVersion {
		errs = append(errs, field.NotSupported(field.NewPath("apiVersion"), c.APIVersion, []string{APIVersion}))
	}
	if c.Kind != Kind {
		errs = append(errs, field.NotSupported(field.NewPath("kind"), c.Kind, []string{Kind}))
	}
	errs = append(errs, c.Webhook.validate(field.NewPath("webhook"))...)
	errs = append(errs, c.Extender.validate(field.NewPath("extender"))...)
	errs = append(errs, c.Reserver.validate(field.NewPath("reserver"))...)
	return append(errs, c.Console.validate(field.NewPath("console"))...)
}

func (w Webhook) validate(path *field.Path) field.ErrorList {
	errs := append(w.Process.validate(path), address(path.Child("address"), w.Address)...)
	errs = append(errs, name(path.Child("namespace"), w.Namespace)...)
	errs = append(errs, w.Certificate.validate(path.Child("certificate"))...)
	errs = append(errs, w.ClientCA.validate(path.Child("clientCA"))...)
	errs = append(errs, w.Tracing.validate(path.Child("tracing"))...)
	if w.URL == "" {
		errs = append(errs, name(path.Child("service"), w.Service)...)
	} else if u, err := url.Parse(w.URL); err != nil || u.Scheme != "https" || u.Host == "" {
		errs = append(errs, field.Invalid(path.Child("url"), w.URL, "write https://host:port, or leave it empty to go through the Service"))
	}
	for i := range w.Kinds {
		errs = append(errs, w.Kinds[i].validate(path.Child("kinds").Index(i))...)
	}
	for i, user := range w.Autoscalers {
		if !userName.MatchString(user) {
			errs = append(errs, field.Invalid(path.Child("autoscalers").Index(i), user, "write a user as admission sees it, for example system:serviceaccount:keda:keda-operator"))
		}
	}
	if w.DrainSeconds < 0 || w.DrainSeconds > 300 {
		errs = append(errs, field.Invalid(path.Child("drainSeconds"), w.DrainSeconds, "write a number from 0 to 300"))
	}
	return errs
}

// userName leaves out what would need quotes in a match condition.
var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:@._/-]*$`)

func (k *WebhookKind) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for name, value := range map[string]string{"version": k.Version, "resource": k.Resource, "kind": k.Kind, "count": k.Count} {
		if value == "" {
			errs = append(errs, field.Required(path.Child(name), "write for example version: v1, resource: widgets, kind: Widget, count: spec.replicas=1"))
		}
	}
	if k.Controls && k.Cluster {
		errs = append(errs, field.Invalid(path.Child("controls"), true, "write it for kinds with a namespace only: what a kind without one owns is held by itself"))
	}
	switch k.Measure {
	case "":
		k.Measure = "replicas"
	case "replicas", "nodes":
	default:
		errs = append(errs, field.NotSupported(path.Child("measure"), k.Measure, []string{"replicas", "nodes"}))
	}
	return errs
}

func (r Reserver) validate(path *field.Path) field.ErrorList {
	errs := append(r.Process.validate(path), name(path.Child("namespace"), r.Namespace)...)
	errs = append(errs, r.History.validate(path.Child("history"))...)
	errs = append(errs, name(path.Child("placeholderNamespace"), r.PlaceholderNamespace)...)
	if r.PlaceholderImage == "" {
		errs = append(errs, field.Required(path.Child("placeholderImage"), "write an image that sleeps, such as registry.k8s.io/pause:3.10"))
	}
	if r.Priority >= 0 {
		errs = append(errs, field.Invalid(path.Child("priority"), r.Priority, "write a negative number, so that every pod without a priority may take a placeholder over; -10 suits Cluster Autoscaler"))
	}
	errs = append(errs, r.Decisions.validate(path.Child("decisions"))...)
	errs = append(errs, r.Prices.validate(path.Child("prices"))...)
	errs = append(errs, r.Calls.validate(path.Child("calls"))...)
	errs = append(errs, r.Showback.validate(path.Child("showback"))...)
	errs = append(errs, r.Tracing.validate(path.Child("tracing"))...)
	if r.MaxChangesPerPlan < 1 || r.MaxChangesPerPlan > 1000 {
		errs = append(errs, field.Invalid(path.Child("maxChangesPerPlan"), r.MaxChangesPerPlan, "write a number from 1 to 1000"))
	}
	return errs
}

func (p Process) validate(path *field.Path) field.ErrorList {
	return append(address(path.Child("metricsAddress"), p.MetricsAddress), address(path.Child("healthAddress"), p.HealthAddress)...)
}

func address(path *field.Path, value string) field.ErrorList {
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		return field.ErrorList{field.Invalid(path, value, "write host:port, or :port for every address")}
	}
	return nil
}

func name(path *field.Path, value string) field.ErrorList {
	if problems := validation.IsDNS1123Label(value); len(problems) > 0 {
		return field.ErrorList{field.Invalid(path, value, problems[0])}
	}
	return nil
}
