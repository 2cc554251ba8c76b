// Package observe starts a process of Forewarm in the way that all of them share: flags,
// structured logs, a manager with health, readiness and metrics, and a clear error when
// something that it needs is not there.
package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"forewarm.dev/internal/config"
)

// Flags are the flags that every process has.
type Flags struct {
	// Config is the path of the configuration file; empty means the defaults.
	Config string
	// Kubeconfig is the path of a kubeconfig; empty means in-cluster or the usual places.
	Kubeconfig string
	// Verbosity is the log level: 0 state changes, 1 decisions, 4 traces.
	Verbosity int
}

// ParseFlags reads args, without the program's name, for the process of that name. about
// is its help text. It returns pflag.ErrHelp when help was asked for and printed.
func ParseFlags(name, about string, args []string, output io.Writer) (Flags, error) {
	var f Flags
	set := pflag.NewFlagSet(name, pflag.ContinueOnError)
	set.SetOutput(output)
	set.StringVar(&f.Config, "config", "", "path of the configuration file; empty means the defaults")
	set.StringVar(&f.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "path of a kubeconfig; empty means the cluster that the process runs in")
	set.IntVarP(&f.Verbosity, "verbosity", "v", 0, "log level: 0 state changes, 1 decisions, 4 traces")
	set.Usage = func() {
		fmt.Fprintf(output, "%s\n\nUsage:\n  %s [flags]\n\nFlags:\n%s", about, name, set.FlagUsages())
	}
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("unexpected argument %q; %s takes flags only, see --help", set.Arg(0), name)
	}
	return f, nil
}

// Logger is a JSON logger to output. It becomes the logger of controller-runtime and klog too.
func Logger(verbosity int, output io.Writer) logr.Logger {
	handler := slog.NewJSONHandler(output, &slog.HandlerOptions{Level: slog.Level(-verbosity)})
	log := logr.FromSlogHandler(handler)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	return log
}

// ManagerOptions say what a process needs of its manager.
type ManagerOptions struct {
	// Scheme holds the API types that the process reads and writes.
	Scheme *runtime.Scheme
	// Kubeconfig is the path of a kubeconfig; empty means in-cluster or the usual places.
	Kubeconfig string
	// Process says where health and metrics are served.
	Process config.Process
	// Customize may change the manager's options, for example to elect a leader; may be nil.
	Customize func(*ctrl.Options)
}

// Manager connects to the API server and makes a manager with health and metrics served.
// It fails within seconds, with the address or the port in the error, when the API server
// cannot be reached or a port is taken.
func Manager(ctx context.Context, o ManagerOptions) (ctrl.Manager, error) {
	restConfig, err := RESTConfig(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	if err := reach(ctx, restConfig); err != nil {
		return nil, err
	}
	for field, address := range map[string]string{"metricsAddress": o.Process.MetricsAddress, "healthAddress": o.Process.HealthAddress} {
		if err := CheckFree(field, address); err != nil {
			return nil, err
		}
	}
	options := ctrl.Options{
		Scheme:                 o.Scheme,
		Metrics:                metricsserver.Options{BindAddress: o.Process.MetricsAddress},
		HealthProbeBindAddress: o.Process.HealthAddress,
	}
	if o.Customize != nil {
		o.Customize(&options)
	}
	manager, err := ctrl.NewManager(restConfig, options)
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	return manager, nil
}

// RESTConfig is the client configuration of a kubeconfig file, or of the cluster around
// the process if path is empty. There is no client-side rate limit: the API server's
// priority and fairness is the better judge.
func RESTConfig(path string) (*rest.Config, error) {
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("read kubeconfig: %w; give an existing file with --kubeconfig", err)
		}
		if err := os.Setenv("KUBECONFIG", path); err != nil {
			return nil, fmt.Errorf("set KUBECONFIG: %w", err)
		}
	}
	restConfig, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w; give a kubeconfig with --kubeconfig", err)
	}
	restConfig.QPS = -1
	return restConfig, nil
}

// reach asks the API server for its version, so that a wrong address fails now and clearly.
func reach(ctx context.Context, restConfig *rest.Config) error {
	short := rest.CopyConfig(restConfig)
	short.Timeout = 10 * time.Second
	client, err := discovery.NewDiscoveryClientForConfig(short)
	if err != nil {
		return fmt.Errorf("make a client for %s: %w", restConfig.Host, err)
	}
	if err := client.RESTClient().Get().AbsPath("/version").Do(ctx).Error(); err != nil {
		return fmt.Errorf("reach the API server at %s: %w; check --kubeconfig and the network", restConfig.Host, err)
	}
	return nil
}

// CheckFree fails when address, the value of the named configuration field, cannot be
// listened on. "0" means that nothing is served there.
func CheckFree(field, address string) error {
	if address == "" || address == "0" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; free the port, or set another %s in the configuration file", address, err, field)
	}
	return listener.Close()
}

// Main is the whole of a process's main function: it parses the flags, loads the
// configuration, sets the log up, and runs until the process is told to stop. about is the
// help text. It returns the exit code, after printing what went wrong for a person.
func Main(name, about string, run func(context.Context, logr.Logger, Flags, config.Config) error) int {
	err := start(name, about, run)
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return 1
}

func start(name, about string, run func(context.Context, logr.Logger, Flags, config.Config) error) error {
	flags, err := ParseFlags(name, about, os.Args[1:], os.Stdout)
	if err != nil {
		return err
	}
	settings, err := config.Load(flags.Config)
	if err != nil {
		return err
	}
	return run(ctrl.SetupSignalHandler(), Logger(flags.Verbosity, os.Stderr), flags, settings)
}
