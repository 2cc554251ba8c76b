package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"

	"forewarm.dev/internal/observe"
)

// leaseName is the Lease by which replicas agree on a leader.
const leaseName = "forewarm-webhook"

// leader says which replica does the work that one is enough for. A manager's own election
// would end the process that loses it, and with it the reviews that it serves.
type leader struct {
	elected atomic.Bool
	lease   *observe.Lease
	config  leaderelection.LeaderElectionConfig
}

func newLeader(clients kubernetes.Interface, namespace string, log logr.Logger) (*leader, error) {
	lease, err := observe.NewLease(clients, namespace, leaseName)
	if err != nil {
		return nil, err
	}
	l := &leader{lease: lease}
	l.config = leaderelection.LeaderElectionConfig{
		Lock: lease, Name: leaseName, ReleaseOnCancel: true,
		LeaseDuration: observe.LeaseDuration, RenewDeadline: observe.RenewDeadline, RetryPeriod: observe.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) { // runs beside the election
				log.Info("Leads", "lease", leaseName)
				l.elected.Store(true)
				<-leading.Done()
				l.elected.Store(false)
				log.Info("Leads no longer", "lease", leaseName)
			},
			OnStoppedLeading: func() {},
		},
	}
	return l, nil
}

// leads says whether this replica does; not once its Lease has run out, though it may not have noticed.
func (l *leader) leads() bool { return l.elected.Load() && l.lease.Lasts() }

// Start runs for election until ctx ends, again each time that it is lost.
func (l *leader) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(l.config)
		if err != nil {
			return fmt.Errorf("run for election: %w", err)
		}
		elector.Run(ctx)
	}
	return nil
}

// NeedLeaderElection is false: this is what tells who leads.
func (l *leader) NeedLeaderElection() bool { return false }
