package config

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Console configures cmd/console.
type Console struct {
	Process `json:",inline"`
	// Address is where browsers are served over TLS, host:port.
	Address string `json:"address"`
	// Serving is the certificate to serve with; absent for one that the console signs itself, about which
	// browsers ask.
	Serving *Serving `json:"serving,omitempty"`
	// IdleTimeout ends a session in which nobody has done anything for that long, SessionLifetime ends every
	// one.
	IdleTimeout     metav1.Duration `json:"idleTimeout"`
	SessionLifetime metav1.Duration `json:"sessionLifetime"`
	// MaxSessions is how many people may be signed in.
	MaxSessions int `json:"maxSessions"`
}

func defaultConsole() Console {
	return Console{
		Process: Process{MetricsAddress: ":8087", HealthAddress: ":8088"}, Address: ":9445",
		IdleTimeout: metav1.Duration{Duration: 30 * time.Minute}, SessionLifetime: metav1.Duration{Duration: 12 * time.Hour}, MaxSessions: 500,
	}
}

func (c Console) validate(path *field.Path) field.ErrorList {
	errs := append(c.Process.validate(path), address(path.Child("address"), c.Address)...)
	errs = append(errs, c.Serving.validate(path.Child("serving"))...)
	if c.IdleTimeout.Duration < time.Minute || c.IdleTimeout.Duration > c.SessionLifetime.Duration {
		errs = append(errs, field.Invalid(path.Child("idleTimeout"), c.IdleTimeout.Duration.String(), "write a duration from 1m to sessionLifetime, such as 30m"))
	}
	if c.SessionLifetime.Duration < time.Minute || c.SessionLifetime.Duration > 7*24*time.Hour {
		errs = append(errs, field.Invalid(path.Child("sessionLifetime"), c.SessionLifetime.Duration.String(), "write a duration from 1m to 168h, such as 12h"))
	}
	if c.MaxSessions < 1 || c.MaxSessions > 10000 {
		errs = append(errs, field.Invalid(path.Child("maxSessions"), c.MaxSessions, "write a number from 1 to 10000"))
	}
	return errs
}
