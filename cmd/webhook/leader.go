package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseName is the Lease by which replicas agree on a leader.
const leaseName = "forewarm-webhook"

// leader says which replica does the work that one is enough for. A manager's own election
// would end the process that loses it, and with it the reviews that it serves.
type leader struct {
	leading atomic.Bool
	config  leaderelection.LeaderElectionConfig
}

func newLeader(clients kubernetes.Interface, namespace string, log logr.Logger) (*leader, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find the name of this host: %w", err)
	}
	identity := host + "_" + string(uuid.NewUUID())
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, leaseName,
		clients.CoreV1(), clients.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		return nil, fmt.Errorf("make the lock of Lease %s/%s: %w", namespace, leaseName, err)
	}
	l := &leader{}
	l.config = leaderelection.LeaderElectionConfig{
		Lock: lock, Name: leaseName, ReleaseOnCancel: true,
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) { // runs beside the election
				log.Info("Leads", "lease", leaseName)
				l.leading.Store(true)
				<-leading.Done()
				l.leading.Store(false)
				log.Info("Leads no longer", "lease", leaseName)
			},
			OnStoppedLeading: func() {},
		},
	}
	return l, nil
}

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
