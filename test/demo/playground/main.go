// Command playground leaves a control plane with Karpenter and all of Forewarm running until it
// is interrupted, under a light live load of GPU jobs, or empty for docs/tutorial.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/demo/live"
	"forewarm.dev/test/demo/play"
	"forewarm.dev/test/demo/stack"
)

const (
	// visitor is the ServiceAccount, in namespace default, by which people sign in to the console.
	visitor = "you"

	// What is said meanwhile, and of a playground in which nothing happens.
	startsCluster = "Starting etcd, Kubernetes, KWOK and Karpenter …"
	startsOurs    = "Starting Forewarm's webhook, extender, reserver and console …"
	withNothing   = "A control plane with Karpenter and Forewarm is running, with no WarmPool and no load."
)

func main() {
	ctrl.SetLogger(logr.Discard())
	empty := pflag.Bool("empty", false, "start without a WarmPool and without a load, as docs/tutorial.md wants it")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *empty); err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "playground: %v\n", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}

func run(ctx context.Context, empty bool) (err error) {
	store, err := assets.Open()
	if err != nil {
		return err
	}
	ours, err := stack.New()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "forewarm-playground-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := beside()
	if err != nil {
		return err
	}
	fmt.Println(startsCluster)
	options := live.Cluster(ours)
	options.Dir = dir
	c, err := cluster.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	fmt.Println(startsOurs)
	if err := ours.Start(ctx, c, store.Root, programs); err != nil {
		return err
	}
	if err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: live.Namespace}}); err != nil {
		return err
	}
	console, err := serveConsole(ctx, c, ours)
	if err != nil {
		return err
	}
	at := place{kubeconfig: c.Kubeconfig, logs: filepath.Join(c.Dir, "logs"), console: console}
	if empty {
		fmt.Print(at.introduce(withNothing, "kubectl get nodepools", "forewarmctl status"))
		<-ctx.Done()
		return nil
	}
	if err := c.Client.Create(ctx, live.Pool()); err != nil {
		return err
	}
	fmt.Print(at.introduce("A control plane with Karpenter, Forewarm and a light load of GPU jobs is running.",
		"forewarmctl status",
		"kubectl get warmpools,demandhistories,forecastmodels",
		"kubectl get pods -A -o wide",
		"kubectl describe warmpool "+play.PoolName))
	return live.Load(ctx, c.Client)
}

// serveConsole starts the console with its own rights, and makes an account that may do everything to sign in by.
func serveConsole(ctx context.Context, c *cluster.Cluster, ours *stack.Stack) (string, error) {
	for _, object := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: visitor}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: visitor},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: visitor}},
		},
	} {
		if err := c.Client.Create(ctx, object); err != nil {
			return "", err
		}
	}
	return ours.StartConsole(ctx)
}

// beside is the folder of this program, where those of Forewarm are too.
func beside() (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the programs of Forewarm: %w", err)
	}
	return filepath.Dir(own), nil
}

// place is what a visitor needs to find.
type place struct{ kubeconfig, logs, console string }

// introduce says how to reach the cluster from another terminal, and what to try there.
func (p place) introduce(what string, commands ...string) string {
	return fmt.Sprintf(`
%s
Nodes are KWOK's: they come %v after Karpenter asks for them, and their pods run nothing.
In another terminal, in this folder:

  export KUBECONFIG=%s PATH="$PWD/bin:$PATH"
  %s

The console is at %s
Your browser asks about its certificate, which it has signed itself. Sign in with what this prints:

  kubectl create token %s --duration 12h

Logs are in %s. Interrupt (Ctrl-C) to stop and remove everything.
`, what, live.Boot, p.kubeconfig, strings.Join(commands, "\n  "), p.console, visitor, p.logs)
}
