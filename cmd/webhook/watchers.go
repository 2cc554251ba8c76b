package main

import (
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"forewarm.dev/webhook/audit"
	"forewarm.dev/webhook/handler"
	"forewarm.dev/webhook/registration"
)

// watchers tell what others have done past the ceilings and to the configurations.
func (p *process) watchers(options handler.Options, clients kubernetes.Interface, leader *leader) []manager.Runnable {
	recorder := p.manager.GetEventRecorder("forewarm-webhook")
	return []manager.Runnable{
		audit.NewAuditor(options, audit.AuditorOptions{Events: recorder, Excluded: p.target.Excluded(), Leading: leader.leads, Log: p.log.WithName("auditor")}),
		&registration.Guard{Client: clients, Target: p.target, Events: recorder, Leading: leader.leads, Again: p.writer.Again, Log: p.log},
	}
}
