package config

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (e Extender) validate(path *field.Path) field.ErrorList {
	errs := append(e.Process.validate(path), address(path.Child("address"), e.Address)...)
	if e.Deadline.Duration < time.Millisecond || e.Deadline.Duration > 5*time.Second {
		errs = append(errs, field.Invalid(path.Child("deadline"), e.Deadline.Duration.String(), "write a duration from 1ms to 5s, below the scheduler's httpTimeout"))
	}
	if e.Undecided != UndecidedPass && e.Undecided != UndecidedError {
		errs = append(errs, field.NotSupported(path.Child("undecided"), e.Undecided, []string{UndecidedPass, UndecidedError}))
	}
	if e.SchedulerLease != "" && noObject(e.SchedulerLease) {
		errs = append(errs, field.Invalid(path.Child("schedulerLease"), e.SchedulerLease, "write the Lease as NAMESPACE/NAME, such as kube-system/kube-scheduler, or leave it empty"))
	}
	if e.DrainSeconds < 0 || e.DrainSeconds > 300 {
		errs = append(errs, field.Invalid(path.Child("drainSeconds"), e.DrainSeconds, "write a number from 0 to 300"))
	}
	errs = append(errs, e.Serving.validate(path.Child("serving"))...)
	errs = append(errs, e.ClientCA.validate(path.Child("clientCA"))...)
	errs = append(errs, e.Tracing.validate(path.Child("tracing"))...)
	if e.ClientCA != nil && e.Serving == nil {
		errs = append(errs, field.Required(path.Child("serving"), "client certificates are shown over TLS only: name the certificate to serve with"))
	}
	return errs
}

func (s *Serving) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s == nil {
		return nil
	}
	for _, f := range []struct{ name, value string }{{"certFile", s.CertFile}, {"keyFile", s.KeyFile}} {
		if relative(f.value) {
			errs = append(errs, field.Invalid(path.Child(f.name), f.value, "write the absolute path of a PEM file"))
		}
	}
	return errs
}
